-- Big tables that are often read whole instead of by an index. Partitions are counted together.
WITH per_root AS (
    SELECT CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE c.oid END AS root,
           sum(s.seq_scan) AS seq_scans,
           sum(coalesce(s.idx_scan, 0)) AS index_scans,
           sum(s.seq_tup_read) AS rows_read,
           sum(s.n_live_tup) AS live_rows
      FROM pg_stat_user_tables s
      JOIN pg_class c ON c.oid = s.relid
     GROUP BY 1
)
SELECT format('%I.%I', n.nspname, c.relname) AS table_name,
       format('SELECT calls, round(mean_exec_time) AS mean_ms, query FROM pg_stat_statements '
              'WHERE query ILIKE %L ORDER BY total_exec_time DESC LIMIT 10;', '%' || c.relname || '%') AS statements,
       u.seq_scans::bigint AS seq_scans,
       u.index_scans::bigint AS index_scans,
       u.rows_read::bigint AS rows_read,
       u.live_rows::bigint AS live_rows
  FROM per_root u
  JOIN pg_class c ON c.oid = u.root
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE u.live_rows >= :min_rows
   AND u.seq_scans >= :min_scans
   AND 100 * u.index_scans < :warn * (u.seq_scans + u.index_scans)
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY u.rows_read DESC, 1
