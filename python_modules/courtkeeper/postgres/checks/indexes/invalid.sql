-- Indexes that a failed CREATE or REINDEX CONCURRENTLY left behind: written to, never read.
-- Not one that is being built at this moment.
SELECT format('%I.%I', n.nspname, c.relname) AS index_name,
       i.indrelid::regclass::text AS table_name,
       pg_relation_size(c.oid) AS bytes,
       i.indisready AS ready,
       c.relname ~ '_ccnew[0-9]*$' AS is_new,
       c.relname ~ '_ccold[0-9]*$' AS is_old
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid
   AND c.relkind = 'i'
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
 ORDER BY 1
