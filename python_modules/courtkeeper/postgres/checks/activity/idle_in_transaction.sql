-- Sessions that opened a transaction and do nothing: their locks stay, and vacuum cannot clean.
SELECT a.pid,
       coalesce(a.datname, '-') AS database,
       coalesce(a.usename, '-') AS role,
       coalesce(a.application_name, '') AS application,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8 AS seconds,
       a.query,
       format('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND xact_start = %L;',
              a.pid, a.xact_start) AS terminate
  FROM pg_stat_activity a
 WHERE a.state LIKE 'idle in transaction%'
   AND a.pid <> pg_backend_pid()
   AND clock_timestamp() - a.state_change >= make_interval(secs => :warn)
 ORDER BY a.state_change
