-- Queries that a replica's replay cancelled in this database, as an average since the statistics began.
SELECT c.datname AS database,
       c.confl_tablespace + c.confl_lock + c.confl_snapshot + c.confl_bufferpin + c.confl_deadlock AS cancelled,
       greatest(extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 / 86400,
                1) AS days
  FROM pg_stat_database_conflicts c
  JOIN pg_stat_database d ON d.datid = c.datid
 WHERE c.datname = current_database()
   AND (c.confl_tablespace + c.confl_lock + c.confl_snapshot + c.confl_bufferpin + c.confl_deadlock)
       / greatest(extract(epoch FROM now() - coalesce(d.stats_reset, pg_postmaster_start_time()))::float8 / 86400,
                  1) >= :warn
