-- Whether the statements can be asked: the extension's schema and version, and whether it is loaded.
SELECT n.nspname AS schema,
       split_part(e.extversion, '.', 1)::int * 1000 + split_part(e.extversion, '.', 2)::int AS version,
       current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_stat_statements'
