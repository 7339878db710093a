-- How far replicas are behind: on a server that sends, those that it feeds; on a replica, itself as well.
-- Limits in MB and in seconds. A base backup that is being taken is not a replica.
WITH here AS (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn
), behind AS (
    SELECT coalesce(nullif(r.application_name, ''), r.pid::text) AS replica,
           coalesce(host(r.client_addr), r.client_hostname, 'local socket') AS address,
           r.state,
           pg_wal_lsn_diff(here.lsn, coalesce(r.replay_lsn, r.flush_lsn, r.write_lsn, r.sent_lsn))
               ::float8 / 1048576 AS megabytes,
           extract(epoch FROM r.replay_lag)::float8 AS seconds
      FROM pg_stat_replication r, here
     WHERE r.state <> 'backup'
    UNION ALL
    SELECT 'this replica', 'itself', 'replaying',
           pg_wal_lsn_diff(here.lsn, pg_last_wal_replay_lsn())::float8 / 1048576,
           CASE WHEN here.lsn > pg_last_wal_replay_lsn()
                THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
                     - (SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'recovery_min_apply_delay')
           END
      FROM here
     WHERE pg_is_in_recovery()
)
SELECT replica, address, state, coalesce(megabytes, 0) AS megabytes, coalesce(seconds, 0) AS seconds
  FROM behind
 WHERE megabytes >= :warn OR seconds >= :warn_seconds
 ORDER BY megabytes DESC NULLS LAST
