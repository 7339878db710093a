-- Sessions that wait for a lock, by whom, and the sessions that they wait for. The trees are built from it.
WITH waiting AS MATERIALIZED (
    SELECT a.pid, pg_blocking_pids(a.pid) AS blockers,
           extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS seconds
      FROM pg_stat_activity a
     WHERE a.wait_event_type = 'Lock'
)
SELECT a.pid,
       coalesce(a.datname, '-') AS database,
       coalesce(a.usename, '-') AS role,
       coalesce(a.application_name, '') AS application,
       coalesce(a.state, a.backend_type) AS state,
       a.query,
       coalesce(w.blockers, '{}') AS blockers,
       coalesce(w.seconds, 0) AS seconds,
       format('SELECT %s(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %L;',
              CASE WHEN a.state = 'active' THEN 'pg_cancel_backend' ELSE 'pg_terminate_backend' END,
              a.pid, a.backend_start) AS release
  FROM pg_stat_activity a
  LEFT JOIN waiting w ON w.pid = a.pid
 WHERE EXISTS (SELECT FROM waiting WHERE seconds >= :warn)
   AND (w.pid IS NOT NULL OR a.pid IN (SELECT unnest(blockers) FROM waiting))
UNION ALL
-- A prepared transaction has no process: pg_blocking_pids calls it 0.
SELECT 0, '-', '-', '', 'prepared', '', '{}', 0,
       coalesce((SELECT string_agg(format('ROLLBACK PREPARED %L; -- in the database %I', gid, database), E'\n'
                                   ORDER BY prepared)
                   FROM pg_prepared_xacts), '')
 WHERE EXISTS (SELECT FROM waiting WHERE seconds >= :warn AND 0 = ANY (blockers))
 ORDER BY 1
