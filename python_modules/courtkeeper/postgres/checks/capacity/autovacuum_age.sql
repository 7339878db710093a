-- Tables with more dead rows than autovacuum waits for that nothing has vacuumed for days.
WITH dead AS (
    SELECT s.relid, s.schemaname, s.relname, s.n_dead_tup, s.n_live_tup,
           greatest(s.last_vacuum, s.last_autovacuum) AS last_vacuum,
           coalesce(greatest(s.last_vacuum, s.last_autovacuum), d.stats_reset, pg_postmaster_start_time()) AS since
      FROM pg_stat_user_tables s
      JOIN pg_stat_database d ON d.datname = current_database()
     WHERE s.n_dead_tup > current_setting('autovacuum_vacuum_threshold')::int
                          + current_setting('autovacuum_vacuum_scale_factor')::float8 * s.n_live_tup
       AND s.schemaname !~ '^pg_'
)
SELECT format('%I.%I', schemaname, relname) AS table_name,
       n_dead_tup AS dead_rows,
       n_live_tup AS live_rows,
       last_vacuum IS NOT NULL AS was_vacuumed,
       (extract(epoch FROM now() - since) / 86400)::float8 AS days
  FROM dead
 WHERE now() - since >= :warn * interval '1 day'
 ORDER BY n_dead_tup DESC, 1
