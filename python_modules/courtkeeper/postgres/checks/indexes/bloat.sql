-- Btree indexes much bigger than their entries need, by the statistics of their columns (the estimate of
-- ioguix/pgsql-bloat-estimation). An entry is 8 bytes of header (16 with room for nulls), the columns aligned
-- to 8, and 4 of line pointer; a page has 40 bytes of header and special space. `waste` is null where a
-- column has no statistics: nothing can be said then.
WITH big AS MATERIALIZED (
    SELECT i.indexrelid, i.indrelid, i.indkey::int2[] AS keys, x.relname, x.relnamespace, x.relpages,
           x.reltuples, x.reloptions, t.relname AS table_relname, t.relnamespace AS table_relnamespace
      FROM pg_index i
      JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
      JOIN pg_am am ON am.oid = x.relam AND am.amname = 'btree'
      JOIN pg_class t ON t.oid = i.indrelid
     WHERE i.indisvalid
       AND x.relpersistence <> 't'
       AND x.relpages * current_setting('block_size')::bigint > :min_mb * 1048576
       AND x.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace,
                                 'information_schema'::regnamespace)
), width AS (
    SELECT b.indexrelid,
           sum((1 - coalesce(s.null_frac, 0)) * coalesce(s.avg_width, 0)) AS bytes,
           bool_or(coalesce(s.null_frac, 0) > 0) AS nulls,
           bool_or(s.attname IS NULL OR a.atttypid = 'name'::regtype) AS is_na
      FROM big b
      JOIN pg_attribute a ON a.attrelid = b.indexrelid AND a.attnum > 0
      JOIN pg_namespace xn ON xn.oid = b.relnamespace
      JOIN pg_namespace tn ON tn.oid = b.table_relnamespace
      -- the statistics of an expression stand under the index's own name
      LEFT JOIN pg_attribute ta ON ta.attrelid = b.indrelid AND ta.attnum = b.keys[a.attnum - 1]
                               AND b.keys[a.attnum - 1] > 0
      LEFT JOIN LATERAL (
            SELECT p.attname, p.null_frac, p.avg_width
              FROM pg_stats p
             WHERE p.schemaname = CASE WHEN ta.attname IS NULL THEN xn.nspname ELSE tn.nspname END
               AND p.tablename = CASE WHEN ta.attname IS NULL THEN b.relname ELSE b.table_relname END
               AND p.attname = coalesce(ta.attname, a.attname)
             ORDER BY p.inherited
             LIMIT 1
           ) s ON true
     GROUP BY b.indexrelid
), estimate AS (
    SELECT b.*, w.is_na,
           1 + ceil(b.reltuples
                    * (4 + CASE WHEN w.nulls THEN 16 ELSE 8 END + 8 * ceil(w.bytes / 8))
                    / ((current_setting('block_size')::int - 40)
                       * coalesce(substring(array_to_string(b.reloptions, ' ') FROM 'fillfactor=([0-9]+)')::int, 90)
                       / 100.0)) AS pages_needed
      FROM big b JOIN width w USING (indexrelid)
)
SELECT format('%I.%I', n.nspname, e.relname) AS name,
       format('%I.%I', tn.nspname, e.table_relname) AS table_name,
       e.indexrelid::bigint AS oid,
       e.relpages * current_setting('block_size')::bigint AS bytes,
       CASE WHEN NOT e.is_na AND e.reltuples >= 0
            THEN greatest(0, round((100 * (1 - e.pages_needed / e.relpages))::numeric, 1)) END AS waste,
       coalesce(substring(array_to_string(e.reloptions, ' ') FROM 'fillfactor=([0-9]+)')::int, 90) AS fillfactor,
       (SELECT quote_ident(xn.nspname) FROM pg_extension x JOIN pg_namespace xn ON xn.oid = x.extnamespace
         WHERE x.extname = 'pgstattuple') AS tool_schema
  FROM estimate e
  JOIN pg_namespace n ON n.oid = e.relnamespace
  JOIN pg_namespace tn ON tn.oid = e.table_relnamespace
 WHERE e.is_na OR e.reltuples < 0 OR 100 * (1 - e.pages_needed / e.relpages) >= :warn
 ORDER BY bytes DESC, 1
