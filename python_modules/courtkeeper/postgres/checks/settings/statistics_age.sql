-- Usage statistics that have not counted for long enough to say that something is never used.
SELECT d.datname AS database,
       extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 / 86400 AS days
  FROM pg_stat_database d
 WHERE d.datname = current_database()
   AND now() - coalesce(d.stats_reset, pg_postmaster_start_time()) < make_interval(secs => :days * 86400)
