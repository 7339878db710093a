-- Indexes that are sorted by the database's own collation (its oid is fixed). Those of the catalogs are not:
-- they are sorted by "C" since 12.
SELECT format('%I.%I', n.nspname, x.relname)
  FROM pg_index i
  JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
  JOIN pg_namespace n ON n.oid = x.relnamespace
 WHERE 'pg_catalog.default'::regcollation = ANY (i.indcollation::oid[])
   AND x.relpersistence <> 't'
 ORDER BY 1
