-- Tables that have changed by more than autovacuum waits for, those that were never analyzed, and
-- partitioned tables without statistics of the whole: to those autovacuum never comes.
WITH due AS (
    SELECT c.oid, c.relkind, n.nspname, c.relname, coalesce(s.n_mod_since_analyze, 0) AS changed,
           coalesce(substring(own.options FROM 'autovacuum_analyze_threshold=([0-9]+)'),
                    current_setting('autovacuum_analyze_threshold'))::float8
           + coalesce(substring(own.options FROM 'autovacuum_analyze_scale_factor=([0-9.eE+-]+)'),
                      current_setting('autovacuum_analyze_scale_factor'))::float8
             * greatest(c.reltuples, 0) AS threshold,
           greatest(s.last_analyze, s.last_autoanalyze) IS NULL AS never
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
     CROSS JOIN LATERAL (SELECT array_to_string(c.reloptions, ' ') AS options) own
     WHERE c.relkind IN ('r', 'm', 'p')
       AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'courtkeeper')
), missing AS (
    SELECT d.oid
      FROM due d
     WHERE d.never
       -- what may not be read shows no statistics either
       AND has_table_privilege(d.oid, 'SELECT')
       AND NOT EXISTS (SELECT FROM pg_stats p
                        WHERE p.schemaname = d.nspname AND p.tablename = d.relname
                          AND p.inherited = (d.relkind = 'p'))
       AND CASE WHEN d.relkind = 'p'
                THEN EXISTS (SELECT FROM pg_partition_tree(d.oid) t JOIN pg_class l ON l.oid = t.relid
                              WHERE t.isleaf AND pg_relation_size(l.oid) > 0)
                ELSE pg_relation_size(d.oid) > 0 END
), covered AS (
    -- ANALYZE of a partitioned table reads its partitions one by one as well
    SELECT t.relid AS oid
      FROM missing m
      JOIN due d ON d.oid = m.oid AND d.relkind = 'p'
     CROSS JOIN LATERAL pg_partition_tree(d.oid) t
     WHERE t.relid <> d.oid
)
SELECT format('%I.%I', d.nspname, d.relname) AS table_name,
       m.oid IS NOT NULL AS is_missing,
       d.changed AS changed_rows,
       ceil(d.threshold)::bigint AS threshold
  FROM due d
  LEFT JOIN missing m ON m.oid = d.oid
 WHERE (m.oid IS NOT NULL OR d.relkind <> 'p' AND d.changed > d.threshold)
   AND d.oid NOT IN (SELECT oid FROM covered)
 ORDER BY 2 DESC, d.changed DESC, 1
