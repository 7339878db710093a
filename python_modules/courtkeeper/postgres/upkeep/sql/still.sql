-- Whether the session that was seen is still at what it was seen at.
SELECT
  FROM pg_stat_activity a
 WHERE a.pid = :pid AND a.backend_start = :backend_start
   AND (:is_idle AND a.state <> 'active' AND a.state_change = :since
        OR NOT :is_idle AND a.state = 'active' AND a.query_start = :since)
