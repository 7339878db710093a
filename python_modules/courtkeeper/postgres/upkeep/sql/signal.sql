-- Only the session that was seen, and only while it is at what it was seen at.
SELECT pg_cancel_backend(a.pid)
  FROM pg_stat_activity a
 WHERE a.pid = :pid AND a.backend_start = :backend_start
   AND (:is_idle AND a.state <> 'active' AND a.state_change = :since
        OR NOT :is_idle AND a.state = 'active' AND a.query_start = :since)
