-- Foreign keys that point to a table, each once: the copies on the referring table's partitions left out.
SELECT c.conname::text AS constraint_name, c.conrelid::bigint AS oid,
       n.nspname::text AS schema, r.relname::text AS name, c.conrelid::regclass::text AS quoted,
       c.confdeltype::text AS on_delete,
       ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY k(attnum, place)
               JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
              ORDER BY k.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(c.confkey) WITH ORDINALITY k(attnum, place)
               JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.attnum
              ORDER BY k.place) AS referenced
  FROM pg_constraint c
  JOIN pg_class r ON r.oid = c.conrelid
  JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE c.contype = 'f' AND c.confrelid = :oid
   AND NOT EXISTS (SELECT FROM pg_constraint up
                    WHERE up.oid = c.conparentid AND up.confrelid = c.confrelid)
 ORDER BY 1, 2
