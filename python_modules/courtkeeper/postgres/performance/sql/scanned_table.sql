-- What has to be known of a table that plans read whole, or of the partitioned one that it is a part of:
-- its columns with how many values they have (as a share of the rows), its indexes and its writes.
WITH found AS (
    SELECT c.oid, CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid ELSE c.oid END AS root,
           c.reltuples
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = :schema AND c.relname = :table
)
SELECT format('%I.%I', n.nspname, r.relname) AS name,
       format('%I.%I', :schema::text, :table::text) AS leaf_name,
       format('%I', n.nspname) AS schema, r.relname::text AS table,
       r.relkind = 'p' AS is_partitioned,
       (SELECT coalesce(jsonb_object_agg(a.attname, format('%I', a.attname)), '{}') FROM pg_attribute a
         WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT coalesce(jsonb_object_agg(s.attname, CASE WHEN s.n_distinct < 0 THEN -s.n_distinct
                                              ELSE s.n_distinct / greatest(f.reltuples, 1) END), '{}')
          FROM pg_stats s
         WHERE s.schemaname = :schema AND s.tablename = :table AND NOT s.inherited) AS distinctness,
       (SELECT coalesce(jsonb_agg(k.columns), '[]')
          FROM (SELECT jsonb_agg(a.attname ORDER BY p.place) AS columns
                  FROM pg_index i
                 CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY p (number, place)
                  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.number
                 WHERE i.indrelid = f.oid AND i.indisvalid AND i.indpred IS NULL AND p.place <= i.indnkeyatts
                   AND (SELECT am.amname FROM pg_class x JOIN pg_am am ON am.oid = x.relam
                         WHERE x.oid = i.indexrelid) = 'btree'
                 GROUP BY i.indexrelid) k) AS indexes,
       coalesce((SELECT sum(s.n_tup_ins + s.n_tup_upd - s.n_tup_hot_upd)
                   FROM pg_stat_all_tables s
                  WHERE s.relid = f.oid
                     OR s.relid IN (SELECT p.relid FROM pg_partition_tree(f.root::regclass) p)), 0)::bigint AS writes
  FROM found f
  JOIN pg_class r ON r.oid = f.root
  JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
