-- One relation by its name, with what the role may do with it.
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       format('%I.%I', n.nspname, c.relname) AS quoted,
       coalesce(p.partstrat::text, '') AS strategy,
       coalesce((SELECT a.attname::text FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attnum = p.partattrs[0]), '') AS partition_column,
       has_schema_privilege(n.oid, 'USAGE') AS usable,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       has_table_privilege(c.oid, 'INSERT') AS insertable,
       ARRAY(SELECT a.relid::oid::bigint FROM pg_partition_ancestors(c.oid) a WHERE a.relid <> c.oid) AS ancestors
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
 WHERE n.nspname = :schema AND c.relname = :name
