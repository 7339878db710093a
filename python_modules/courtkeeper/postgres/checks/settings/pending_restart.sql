-- Settings whose new value waits for a restart.
SELECT s.name, s.setting, coalesce(s.unit, '') AS unit
  FROM pg_settings s
 WHERE s.pending_restart
 ORDER BY s.name
