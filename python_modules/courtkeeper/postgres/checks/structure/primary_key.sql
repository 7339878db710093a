-- Tables without a primary key: no row can be named, logical replication cannot update them and
-- pg_repack refuses them. Partitions follow their parent. A unique index that could become the key is named.
-- The archive tables of our retention have none on purpose: a key may come twice in the course of the years.
-- They are known by their comment; older ones, which have none, by the retention's own column, filled by it
-- alone, in a table without an index or a default.
SELECT format('%I.%I', n.nspname, t.relname) AS table_name,
       t.reltuples::bigint AS estimated_rows,
       u.index_name
  FROM pg_class t
  JOIN pg_namespace n ON n.oid = t.relnamespace
  LEFT JOIN LATERAL (
        SELECT format('%I', x.relname) AS index_name
          FROM pg_index i
          JOIN pg_class x ON x.oid = i.indexrelid
         WHERE i.indrelid = t.oid AND t.relkind = 'r'
           AND i.indisunique AND i.indisvalid AND i.indimmediate
           AND i.indpred IS NULL AND i.indexprs IS NULL
           AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
           AND NOT EXISTS (SELECT FROM unnest(i.indoption::int2[]) AS o (option) WHERE o.option <> 0)
           AND NOT EXISTS (SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k (attnum)
                             JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
                            WHERE NOT a.attnotnull)
         ORDER BY i.indnkeyatts, x.relname
         LIMIT 1
       ) u ON true
 WHERE t.relkind IN ('r', 'p')
   AND NOT t.relispartition
   AND t.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisprimary)
   AND NOT EXISTS (SELECT FROM pg_description d
                    WHERE d.classoid = 'pg_class'::regclass AND d.objoid = t.oid AND d.objsubid = 0
                      AND d.description LIKE 'Courtkeeper archive of %')
   AND NOT (EXISTS (SELECT FROM pg_attribute a
                     WHERE a.attrelid = t.oid AND a.attname = 'archived_at'
                       AND a.atttypid = 'timestamptz'::regtype AND a.attnotnull)
            AND NOT EXISTS (SELECT FROM pg_attribute a
                             WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
                               AND (a.atthasdef OR a.attidentity <> ''))
            AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid AND i.indisunique))
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e')
 ORDER BY 1
