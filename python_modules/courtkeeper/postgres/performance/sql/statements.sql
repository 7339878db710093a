-- What this database's statements cost, with what each of them is among the first by. `total_ms` counts the
-- execution only, as planning is not tracked unless told. Blocks are of the server's own size.
WITH per_statement AS (
    SELECT s.queryid, s.userid,
           min(s.query) AS query,
           sum(s.calls)::bigint AS calls,
           sum(s.total_exec_time) AS total_ms,
           max(s.max_exec_time) AS max_ms,
           sum(s.rows)::bigint AS rows,
           sum(s.shared_blks_read)::bigint AS blocks_read,
           sum(s.temp_blks_written)::bigint AS temp_blocks
      FROM pg_stat_statements s
     WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND s.queryid IS NOT NULL AND s.calls > 0
     GROUP BY s.queryid, s.userid
), placed AS (
    SELECT p.*,
           p.total_ms / nullif(sum(p.total_ms) OVER (), 0) AS share,
           row_number() OVER (ORDER BY p.total_ms DESC, p.queryid) AS by_total,
           row_number() OVER (ORDER BY p.total_ms / p.calls DESC, p.queryid) AS by_mean,
           row_number() OVER (ORDER BY p.calls DESC, p.queryid) AS by_calls,
           row_number() OVER (ORDER BY p.temp_blocks DESC, p.queryid) AS by_temp,
           row_number() OVER (ORDER BY p.blocks_read DESC, p.queryid) AS by_reads
      FROM per_statement p
)
SELECT p.queryid::text AS queryid,
       coalesce(r.rolname, p.userid::text)::text AS role,
       p.query, p.calls, p.total_ms, p.total_ms / p.calls AS mean_ms, p.max_ms, p.rows,
       coalesce(p.share, 0) AS share,
       p.blocks_read * current_setting('block_size')::bigint AS read_bytes,
       p.temp_blocks * current_setting('block_size')::bigint AS temp_bytes,
       array_remove(ARRAY[CASE WHEN p.by_total <= :top THEN 'total' END,
                          CASE WHEN p.by_mean <= :top THEN 'mean' END,
                          CASE WHEN p.by_calls <= :top THEN 'calls' END,
                          CASE WHEN p.by_temp <= :top AND p.temp_blocks > 0 THEN 'temp' END,
                          CASE WHEN p.by_reads <= :top AND p.blocks_read > 0 THEN 'reads' END], NULL) AS among
  FROM placed p
  LEFT JOIN pg_roles r ON r.oid = p.userid
 WHERE least(p.by_total, p.by_mean, p.by_calls) <= :top
    OR p.by_temp <= :top AND p.temp_blocks > 0
    OR p.by_reads <= :top AND p.blocks_read > 0
 ORDER BY p.total_ms DESC, p.queryid
