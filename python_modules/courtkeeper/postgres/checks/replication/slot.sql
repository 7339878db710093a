-- Replication slots that keep WAL for a consumer that is not there or cannot keep up. Before version
-- 17 the server cannot tell since when a slot is inactive.
SELECT s.slot_name::text AS slot_name,
       s.slot_type,
       s.active,
       NULL::float8 AS inactive_s,
       coalesce(s.wal_status, 'none') AS wal_status,
       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                     ELSE pg_current_wal_lsn() END, s.restart_lsn), 0)::float8 / 1073741824
           AS gigabytes,
       format('SELECT pg_drop_replication_slot(%L);', s.slot_name) AS drop_it,
       CASE s.slot_type
            WHEN 'physical' THEN format('SELECT pg_create_physical_replication_slot(%L);', s.slot_name)
            ELSE format('SELECT pg_create_logical_replication_slot(%L, %L); -- in the database %I',
                        s.slot_name, s.plugin, s.database) END AS create_again
  FROM pg_replication_slots s
 WHERE NOT s.temporary
   AND (NOT s.active AND s.restart_lsn IS NOT NULL
        OR s.wal_status IN ('lost', 'unreserved')
        OR pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                ELSE pg_current_wal_lsn() END, s.restart_lsn) >= :warn * 1073741824.0)
 ORDER BY gigabytes DESC
