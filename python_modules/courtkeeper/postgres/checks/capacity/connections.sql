-- Client connections against what ordinary roles may open, and who holds the most of them.
WITH clients AS (
    -- The kind of other people's sessions is hidden from who has no pg_monitor; all have a database.
    SELECT a.usename, a.state
      FROM pg_stat_activity a
     WHERE a.datid IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend'
), most AS (
    SELECT format('%I', coalesce(usename, '?')) AS role_name,
           count(*) AS held,
           count(*) FILTER (WHERE state = 'idle') AS idle
      FROM clients GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
), allowed AS (
    SELECT current_setting('max_connections')::int AS highest,
           current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int
           - coalesce(current_setting('reserved_connections', true)::int, 0) AS usable
)
SELECT (SELECT count(*) FROM clients) AS held,
       a.usable, a.highest,
       100.0 * (SELECT count(*) FROM clients) / a.usable AS used,
       m.role_name, m.held AS role_held, m.idle AS role_idle
  FROM allowed a CROSS JOIN most m
 WHERE 100.0 * (SELECT count(*) FROM clients) / a.usable >= :warn
