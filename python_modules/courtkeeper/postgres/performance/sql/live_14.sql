-- The same from 14 on, where the time of the last reset is known.
SELECT s.queryid::text AS queryid, now() AS taken_at, (SELECT stats_reset FROM pg_stat_statements_info) AS statements_reset,
       sum(s.calls)::bigint AS calls, sum(s.total_exec_time) AS total_ms
  FROM pg_stat_statements s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND s.queryid::text = ANY (:queryids)
 GROUP BY s.queryid
