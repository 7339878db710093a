-- Everything that has pages of its own: tables, their TOAST tables, materialized views, indexes.
-- relpages, not pg_relation_size: that one would wait for whoever has locked a table.
SELECT c.oid,
       format('%I.%I', n.nspname, c.relname) AS name,
       am.amname AS method,
       coalesce(pg_relation_filenode(c.oid), 0) AS filenode,
       greatest(c.relpages, 0) AS pages,
       coalesce(i.indrelid, 0) AS table_oid,
       coalesce(i.indisunique, false) AS is_unique,
       -- what a TOAST table belongs to; empty for others
       CASE WHEN t.oid IS NULL THEN '' ELSE format('%I.%I', tn.nspname, t.relname) END AS toast_of,
       -- REINDEX CONCURRENTLY can do neither system catalogs nor exclusion constraints
       c.oid >= 16384 AND NOT coalesce(i.indisexclusion, false) AS concurrently
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_am am ON am.oid = c.relam
  LEFT JOIN pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_class t ON t.reltoastrelid = c.oid
  LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace
 WHERE c.relkind IN ('r', 'm', 't', 'i')
   AND c.relpersistence <> 't'
   -- a replica has no rows of unlogged tables
   AND (c.relpersistence = 'p' OR NOT pg_is_in_recovery())
   -- what is invalid or being built is no promise yet: see indexes.invalid
   AND (i.indexrelid IS NULL OR i.indisvalid AND i.indisready AND i.indislive)
 ORDER BY c.oid
