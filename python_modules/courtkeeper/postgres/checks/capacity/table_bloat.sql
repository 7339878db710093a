-- Tables much bigger than their rows need, by the statistics of their columns (the estimate of
-- ioguix/pgsql-bloat-estimation). A row is 23 bytes of header and the bitmap of nulls, aligned to 8, the
-- columns, aligned to 8, and 4 of line pointer; a page has 24 bytes of header. What is in TOAST is left
-- out. `waste` is null where a column has no statistics: nothing can be said then.
WITH big AS MATERIALIZED (
    SELECT c.oid, c.relname, c.relnamespace, c.relpages, c.reltuples, c.relnatts,
           coalesce(substring(array_to_string(c.reloptions, ' ') FROM 'fillfactor=([0-9]+)')::int, 100) AS fillfactor
      FROM pg_class c
     WHERE c.relkind IN ('r', 'm')
       AND c.relpersistence <> 't'
       AND c.relpages * current_setting('block_size')::bigint > :min_mb * 1048576
       AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace,
                                 'information_schema'::regnamespace)
), width AS (
    SELECT b.oid,
           sum((1 - coalesce(s.null_frac, 0)) * coalesce(s.avg_width, 0)) AS bytes,
           bool_or(coalesce(s.null_frac, 0) > 0) AS nulls,
           bool_or(s.attname IS NULL OR a.atttypid = 'name'::regtype) AS is_na
      FROM big b
      JOIN pg_namespace n ON n.oid = b.relnamespace
      JOIN pg_attribute a ON a.attrelid = b.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN LATERAL (
            SELECT p.attname, p.null_frac, p.avg_width
              FROM pg_stats p
             WHERE p.schemaname = n.nspname AND p.tablename = b.relname AND p.attname = a.attname
             ORDER BY p.inherited
             LIMIT 1
           ) s ON true
     GROUP BY b.oid
), estimate AS (
    SELECT b.*, w.is_na,
           ceil(b.reltuples
                * (4 + 8 * ceil((23 + CASE WHEN w.nulls THEN ceil(b.relnatts / 8.0) ELSE 0 END) / 8)
                   + 8 * ceil(w.bytes / 8))
                / ((current_setting('block_size')::int - 24) * b.fillfactor / 100.0)) AS pages_needed
      FROM big b JOIN width w USING (oid)
)
SELECT format('%I.%I', n.nspname, e.relname) AS name,
       format('%I.%I', n.nspname, e.relname) AS table_name,
       e.oid::bigint AS oid,
       e.relpages * current_setting('block_size')::bigint AS bytes,
       CASE WHEN NOT e.is_na AND e.reltuples >= 0
            THEN greatest(0, round((100 * (1 - e.pages_needed / e.relpages))::numeric, 1)) END AS waste,
       e.fillfactor,
       (SELECT quote_ident(xn.nspname) FROM pg_extension x JOIN pg_namespace xn ON xn.oid = x.extnamespace
         WHERE x.extname = 'pgstattuple') AS tool_schema
  FROM estimate e
  JOIN pg_namespace n ON n.oid = e.relnamespace
 WHERE e.is_na OR e.reltuples < 0 OR 100 * (1 - e.pages_needed / e.relpages) >= :warn
 ORDER BY bytes DESC, 1
