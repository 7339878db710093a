-- Deadlocks that the server had to break in this database, as an average since the statistics began.
SELECT d.datname AS database,
       d.deadlocks,
       greatest(extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 / 86400,
                1) AS days
  FROM pg_stat_database d
 WHERE d.datname = current_database()
   AND d.deadlocks / greatest(extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time()))
                              ::float8 / 86400, 1) >= :warn
