-- Tables for which autovacuum is switched off; for a TOAST table, the table that it belongs to.
SELECT format('%I.%I', n.nspname, coalesce(main.relname, c.relname)) AS table_name,
       main.oid IS NOT NULL AS toast,
       greatest(c.reltuples, 0)::float8 AS rows,
       age(c.relfrozenxid) AS transactions
  FROM pg_class c
  LEFT JOIN pg_class main ON c.relkind = 't' AND main.reltoastrelid = c.oid
  JOIN pg_namespace n ON n.oid = coalesce(main.relnamespace, c.relnamespace)
 CROSS JOIN LATERAL pg_options_to_table(c.reloptions) o
 WHERE c.relkind IN ('r', 'm', 't')
   AND c.relpersistence <> 't'
   AND c.reloptions IS NOT NULL
   AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::bool
   AND n.nspname NOT IN ('pg_catalog', 'information_schema')
 ORDER BY 1, 2
