-- Plain btree indexes whose columns another index of the same table begins with: whatever they answer,
-- the longer one answers too. Never one that is unique or that a constraint, a foreign key or the replica
-- identity stands on. Partitions' indexes go with their parent.
WITH usable AS (
    SELECT i.indexrelid, i.indrelid, i.indnkeyatts, i.indnatts, i.indisunique,
           i.indkey::int2[] AS keys, i.indclass::oid[] AS classes, i.indcollation::oid[] AS collations,
           i.indoption::int2[] AS options, i.indpred,
           x.relname, x.relkind, x.relnamespace,
           i.indisunique OR i.indisexclusion OR i.indisreplident OR i.indisclustered
           OR EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid) AS needed
      FROM pg_index i
      JOIN pg_class x ON x.oid = i.indexrelid
      JOIN pg_am am ON am.oid = x.relam AND am.amname = 'btree'
      JOIN pg_namespace n ON n.oid = x.relnamespace
     WHERE i.indisvalid AND i.indexprs IS NULL AND NOT x.relispartition
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
)
SELECT DISTINCT ON (1)
       format('%I.%I', n.nspname, gone.relname) AS index_name,
       format('%I.%I', kn.nspname, kept.relname) AS kept_name,
       format('%I.%I', tn.nspname, t.relname) AS table_name,
       gone.relkind = 'I' AS is_partitioned,
       (SELECT coalesce(sum(pg_relation_size(p.relid)), 0)::bigint
          FROM pg_partition_tree(gone.indexrelid) p WHERE p.isleaf)
       + CASE WHEN gone.relkind = 'i' THEN pg_relation_size(gone.indexrelid) ELSE 0 END AS bytes,
       pg_get_indexdef(gone.indexrelid) AS definition
  FROM usable gone
  JOIN usable kept
    ON kept.indrelid = gone.indrelid
   AND (kept.indnkeyatts, kept.indnatts) > (gone.indnkeyatts, gone.indnatts)
   AND kept.keys[0:gone.indnkeyatts - 1] = gone.keys[0:gone.indnkeyatts - 1]
   AND kept.classes[0:gone.indnkeyatts - 1] = gone.classes[0:gone.indnkeyatts - 1]
   AND kept.collations[0:gone.indnkeyatts - 1] = gone.collations[0:gone.indnkeyatts - 1]
   AND kept.options[0:gone.indnkeyatts - 1] = gone.options[0:gone.indnkeyatts - 1]
   AND kept.keys @> gone.keys -- what it includes as well
   AND pg_get_expr(kept.indpred, kept.indrelid) IS NOT DISTINCT FROM pg_get_expr(gone.indpred, gone.indrelid)
  JOIN pg_class t ON t.oid = gone.indrelid
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_namespace n ON n.oid = gone.relnamespace
  JOIN pg_namespace kn ON kn.oid = kept.relnamespace
 WHERE NOT gone.needed
 ORDER BY 1, kept.indnkeyatts, kept.indexrelid
