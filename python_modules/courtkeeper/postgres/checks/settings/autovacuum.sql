-- Autovacuum off, or without the counters that it decides by.
SELECT s.name,
       format('ALTER SYSTEM SET %I = ''on''; SELECT pg_reload_conf();', s.name) AS fix,
       format('ALTER SYSTEM SET %I = ''off''; SELECT pg_reload_conf();', s.name) AS undo
  FROM pg_settings s
 WHERE s.name IN ('autovacuum', 'track_counts') AND s.setting = 'off'
 ORDER BY s.name
