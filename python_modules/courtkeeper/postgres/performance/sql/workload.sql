-- What the workload says about the settings: spills of this database, and the clients of the whole server.
SELECT d.temp_files, d.temp_bytes,
       (SELECT count(*) FROM pg_stat_activity a
         WHERE a.backend_type = 'client backend'
           AND a.application_name <> 'courtkeeper postgres_performance') AS clients,
       coalesce(extract(epoch FROM now() - d.stats_reset) / 86400, 0)::float8 AS days
  FROM pg_stat_database d
 WHERE d.datname = current_database()
