-- A replica that should stream from a primary and does not. One that is fed from an archive only does not.
SELECT coalesce(w.status, 'absent') AS status,
       w.sender_host AS sender,
       pg_last_xact_replay_timestamp() AS last_replayed
  FROM (SELECT 1) one
  LEFT JOIN pg_stat_wal_receiver w ON true
 WHERE pg_is_in_recovery()
   AND current_setting('primary_conninfo') <> ''
   AND coalesce(w.status, 'absent') NOT IN ('streaming', 'waiting')
