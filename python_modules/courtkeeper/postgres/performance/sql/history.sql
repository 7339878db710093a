-- The counters of some statements in the snapshots of the last days, the oldest first.
SELECT c.object AS queryid, s.taken_at, s.statements_reset,
       coalesce((c.counters ->> 'calls')::bigint, 0) AS calls,
       coalesce((c.counters ->> 'total_exec_time')::float8, 0) AS total_ms
  FROM courtkeeper.statistics_snapshots s
  JOIN courtkeeper.statistics_counters c ON c.snapshot_id = s.id AND c.kind = 'statement'
 WHERE c.object = ANY (:queryids)
   AND s.taken_at > now() - :days * interval '1 day'
 ORDER BY s.taken_at, s.id
