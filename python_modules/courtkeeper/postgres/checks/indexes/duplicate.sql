-- Indexes that another index of the same table repeats: the same columns, order, operators and rows.
-- Of a pair the one goes that nothing depends on; where that is both, the younger. Never one that a
-- constraint, a foreign key or the replica identity stands on. Partitions' indexes go with their parent.
WITH usable AS (
    SELECT i.*, x.relname, x.relkind, x.relam, x.relnamespace,
           i.indisprimary OR i.indisexclusion OR i.indisreplident OR i.indisclustered
           OR EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid) AS needed
      FROM pg_index i
      JOIN pg_class x ON x.oid = i.indexrelid
      JOIN pg_namespace n ON n.oid = x.relnamespace
     WHERE i.indisvalid AND NOT x.relispartition
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
   AND kept.indexrelid <> gone.indexrelid
   AND kept.relam = gone.relam
   AND kept.indnkeyatts = gone.indnkeyatts
   AND kept.indkey = gone.indkey
   AND kept.indclass = gone.indclass
   AND kept.indcollation = gone.indcollation
   AND kept.indoption = gone.indoption
   AND pg_get_expr(kept.indexprs, kept.indrelid) IS NOT DISTINCT FROM pg_get_expr(gone.indexprs, gone.indrelid)
   AND pg_get_expr(kept.indpred, kept.indrelid) IS NOT DISTINCT FROM pg_get_expr(gone.indpred, gone.indrelid)
   AND (kept.indisunique OR NOT gone.indisunique)
   AND (kept.needed OR kept.indisunique AND NOT gone.indisunique OR kept.indexrelid < gone.indexrelid
        AND kept.indisunique = gone.indisunique)
   -- Unique, but by another rule for nulls (15): not the same.
   AND (NOT gone.indisunique OR (to_jsonb(kept) ->> 'indnullsnotdistinct')
                                IS NOT DISTINCT FROM (to_jsonb(gone) ->> 'indnullsnotdistinct'))
  JOIN pg_class t ON t.oid = gone.indrelid
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_namespace n ON n.oid = gone.relnamespace
  JOIN pg_namespace kn ON kn.oid = kept.relnamespace
 WHERE NOT gone.needed
 ORDER BY 1, kept.needed DESC, kept.indexrelid
