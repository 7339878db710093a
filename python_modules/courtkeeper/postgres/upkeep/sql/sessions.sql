-- Sessions of clients of this database that are idle in a transaction, or at one query, for too long, and
-- that may be ended. The server's own processes are no client backends.
SELECT a.pid, a.backend_start, a.usename AS "user", a.application_name AS application,
       a.state <> 'active' AS is_idle,
       CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END AS since,
       extract(epoch FROM clock_timestamp()
               - CASE WHEN a.state = 'active' THEN a.query_start ELSE a.state_change END)::float8 AS seconds,
       coalesce(a.query, '') AS query
  FROM pg_stat_activity a
  JOIN pg_roles r ON r.oid = a.usesysid
 WHERE a.datname = current_database()
   AND a.backend_type = 'client backend'
   AND a.pid <> pg_backend_pid()
   AND a.application_name NOT LIKE 'courtkeeper %'
   AND (a.usename = ANY (:users) OR '*' = ANY (:users) AND NOT r.rolsuper)
   AND NOT a.usename = ANY (:never_users)
   AND NOT a.application_name = ANY (:never_applications)
   AND (a.state IN ('idle in transaction', 'idle in transaction (aborted)')
        AND clock_timestamp() - a.state_change > :idle_s * interval '1 s'
        OR a.state = 'active' AND clock_timestamp() - a.query_start > :query_s * interval '1 s')
 ORDER BY since, a.pid
