-- Large tables that autovacuum comes to by the share of the rows that the whole server has: a fifth of ten
-- million rows is a long time and a long vacuum. Those with a setting of their own are left alone.
SELECT format('%I.%I', n.nspname, c.relname) AS table_name,
       c.reltuples::bigint AS rows,
       current_setting('autovacuum_vacuum_scale_factor')::float8 AS scale_factor
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.reltuples >= :rows
   AND current_setting('autovacuum_vacuum_scale_factor')::float8 > :scale_factor
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND coalesce(array_to_string(c.reloptions, ' '), '') !~ 'autovacuum_vacuum_(scale_factor|max_threshold)'
   AND coalesce(current_setting('autovacuum_vacuum_max_threshold', true)::bigint, -1) < 0
   -- only those that change
   AND EXISTS (SELECT FROM pg_stat_all_tables s WHERE s.relid = c.oid AND s.n_tup_upd + s.n_tup_del > 0)
 ORDER BY c.reltuples DESC, 1
