-- What synchronous_standby_names asks for, and who is there. Rows only where it asks for something.
SELECT current_setting('synchronous_standby_names') AS wanted,
       coalesce((SELECT array_agg(r.application_name) FROM pg_stat_replication r WHERE r.state = 'streaming'),
                '{}') AS connected,
       (SELECT count(*) FROM pg_stat_replication r WHERE r.sync_state IN ('sync', 'quorum')) AS synchronous,
       format('ALTER SYSTEM SET synchronous_standby_names = %L; SELECT pg_reload_conf();',
              current_setting('synchronous_standby_names')) AS undo
 WHERE current_setting('synchronous_standby_names') <> ''
   AND NOT pg_is_in_recovery()
