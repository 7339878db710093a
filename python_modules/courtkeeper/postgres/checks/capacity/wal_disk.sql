-- What pg_wal takes on the disk, against max_wal_size and wal_keep_size together. A replication slot, an
-- archive that fails or a long checkpoint keeps more.
SELECT w.bytes, w.files, w.allowed,
       100.0 * w.bytes / w.allowed AS used,
       (SELECT format('the slot %I, %s', s.slot_name, CASE WHEN s.active THEN 'in use' ELSE 'not in use' END)
          FROM pg_replication_slots s WHERE s.restart_lsn IS NOT NULL
         ORDER BY s.restart_lsn LIMIT 1) AS oldest_slot
  FROM (SELECT coalesce(sum(size), 0)::bigint AS bytes, count(*) AS files,
               pg_size_bytes(current_setting('max_wal_size'))
               + pg_size_bytes(current_setting('wal_keep_size')) AS allowed
          FROM pg_ls_waldir()) w
 WHERE 100.0 * w.bytes >= :warn * w.allowed
