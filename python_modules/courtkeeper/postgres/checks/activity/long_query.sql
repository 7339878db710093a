-- Statements that have been running for long, of every database.
SELECT a.pid,
       coalesce(a.datname, '-') AS database,
       coalesce(a.usename, '-') AS role,
       coalesce(a.application_name, '') AS application,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8 AS seconds,
       a.query,
       format('SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND query_start = %L;',
              a.pid, a.query_start) AS cancel
  FROM pg_stat_activity a
 WHERE a.state = 'active'
   AND a.backend_type = 'client backend'
   AND a.pid <> pg_backend_pid()
   AND clock_timestamp() - a.query_start >= make_interval(secs => :warn)
 ORDER BY a.query_start
