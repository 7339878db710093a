-- Indexes that hardly any query used since the statistics began. Not the unique ones, nor those that a
-- constraint stands on or that serve a foreign key (deletes of parents need them, however rare). Partitions
-- are counted together. What a replica reads is counted on the replica: `replicas` says how many there are.
WITH per_root AS (
    SELECT CASE WHEN x.relispartition THEN pg_partition_root(x.oid)::oid ELSE x.oid END AS root,
           coalesce(sum(s.idx_scan), 0) AS scans,
           sum(x.relpages::bigint) AS pages
      FROM pg_class x
      JOIN pg_stat_user_indexes s ON s.indexrelid = x.oid
     WHERE x.relkind = 'i'
     GROUP BY 1
)
SELECT format('%I.%I', n.nspname, x.relname) AS index_name,
       format('%I.%I', tn.nspname, t.relname) AS table_name,
       x.relkind = 'I' AS is_partitioned,
       u.scans::bigint AS scans,
       (u.pages * current_setting('block_size')::int)::bigint AS bytes,
       pg_get_indexdef(x.oid) AS definition,
       (SELECT count(*) FROM pg_stat_replication w
          LEFT JOIN pg_replication_slots s ON s.active_pid = w.pid
         WHERE s.slot_type IS DISTINCT FROM 'logical') AS replicas
  FROM per_root u
  JOIN pg_class x ON x.oid = u.root
  JOIN pg_namespace n ON n.oid = x.relnamespace
  JOIN pg_index i ON i.indexrelid = x.oid
  JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace tn ON tn.oid = t.relnamespace
 WHERE u.scans <= :warn
   AND u.pages * current_setting('block_size')::bigint >= :min_mb * 1048576
   AND i.indisvalid AND NOT i.indisunique AND NOT i.indisexclusion AND NOT i.indisreplident
   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = x.oid)
   AND NOT EXISTS (SELECT FROM pg_constraint c
                    WHERE c.contype = 'f' AND c.conrelid = i.indrelid AND i.indkey[0] = ANY (c.conkey))
 ORDER BY bytes DESC, 1
