-- Foreign keys whose columns lead no index: each delete or update of a parent row reads the whole table.
-- A partial index will do where it leaves out nothing but nulls. Parts of a partitioned table follow it.
SELECT format('%I.%I', n.nspname, t.relname) AS table_name,
       format('%I', c.conname) AS constraint_name,
       f.columns AS column_names,
       format('%I.%I', pn.nspname, p.relname) AS parent_name,
       CASE WHEN t.relkind = 'p' THEN '' ELSE 'CONCURRENTLY ' END AS concurrently,
       format('%I', new.name) AS new_index,
       format('%I.%I', n.nspname, new.name) AS new_index_name
  FROM pg_constraint c
  JOIN pg_class t ON t.oid = c.conrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_class p ON p.oid = c.confrelid
  JOIN pg_namespace pn ON pn.oid = p.relnamespace
  CROSS JOIN LATERAL (
        SELECT string_agg(format('%I', a.attname), ', ' ORDER BY k.place) AS columns,
               array_agg(format('(%I IS NOT NULL)', a.attname)) AS not_null
          FROM unnest(c.conkey) WITH ORDINALITY AS k (attnum, place)
          JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.attnum
       ) f
  -- Keys of two tables may bear one name, their indexes may not.
  CROSS JOIN LATERAL (
        SELECT left(c.conname, 50) || '_' || to_hex(hashtext(t.relname || ' ' || c.conname)) || '_idx' AS name
       ) new
 WHERE c.contype = 'f'
   AND c.conparentid = 0
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e')
   AND NOT EXISTS (
        SELECT
          FROM pg_index i
          JOIN pg_class x ON x.oid = i.indexrelid
          JOIN pg_am am ON am.oid = x.relam AND am.amname IN ('btree', 'hash')
         WHERE i.indrelid = c.conrelid
           AND i.indisvalid
           AND i.indnkeyatts >= cardinality(c.conkey)
           AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
           AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = ANY (f.not_null)))
 ORDER BY 1, 2
