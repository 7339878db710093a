-- The same counters as they stand now, of all roles together, as the snapshots have them.
SELECT s.queryid::text AS queryid, now() AS taken_at, NULL::timestamptz AS statements_reset,
       sum(s.calls)::bigint AS calls, sum(s.total_exec_time) AS total_ms
  FROM pg_stat_statements s
 WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND s.queryid::text = ANY (:queryids)
 GROUP BY s.queryid
