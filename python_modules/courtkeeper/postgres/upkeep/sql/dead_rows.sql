-- Tables that autovacuum would come to by its own rule, with the table's own settings where it has some.
-- The schema courtkeeper is left to autovacuum: upkeep that has to keep up its own notes never ends.
SELECT format('%I.%I', s.schemaname, s.relname) AS table_name,
       s.n_dead_tup AS dead_rows,
       ceil(due.threshold)::bigint AS threshold
  FROM pg_stat_user_tables s
  JOIN pg_class c ON c.oid = s.relid
 CROSS JOIN LATERAL (SELECT array_to_string(c.reloptions, ' ') AS options) own
 CROSS JOIN LATERAL (
        SELECT least(
            coalesce(substring(own.options FROM 'autovacuum_vacuum_threshold=([0-9]+)'),
                     current_setting('autovacuum_vacuum_threshold'))::float8
            + coalesce(substring(own.options FROM 'autovacuum_vacuum_scale_factor=([0-9.eE+-]+)'),
                       current_setting('autovacuum_vacuum_scale_factor'))::float8
              * greatest(c.reltuples, 0),
            -- since 18; -1 is none
            nullif(coalesce(substring(own.options FROM 'autovacuum_vacuum_max_threshold=(-?[0-9]+)'),
                            current_setting('autovacuum_vacuum_max_threshold', true))::float8, -1)) AS threshold
       ) due
 WHERE s.n_dead_tup > due.threshold
   AND s.schemaname !~ '^pg_' AND s.schemaname <> 'courtkeeper'
 ORDER BY s.n_dead_tup DESC, 1
