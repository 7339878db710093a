-- The counters of the statements that took the most time, known by their number.
INSERT INTO courtkeeper.statistics_counters (snapshot_id, kind, object, counters)
SELECT :snapshot, 'statement', s.queryid::text,
       jsonb_build_object('calls', sum(s.calls), 'total_exec_time', sum(s.total_exec_time), 'rows', sum(s.rows),
                          'shared_blks_hit', sum(s.shared_blks_hit), 'shared_blks_read', sum(s.shared_blks_read),
                          'temp_blks_written', sum(s.temp_blks_written))
  FROM pg_stat_statements s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND s.queryid IS NOT NULL
 GROUP BY s.queryid
 ORDER BY sum(s.total_exec_time) DESC
 LIMIT :most
