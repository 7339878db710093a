-- Who holds back the horizon before which vacuum may clean: sessions, prepared transactions, replicas with
-- hot_standby_feedback, and slots. Time where the server knows it, transactions everywhere.
WITH horizon AS (
    SELECT 'session' AS kind,
           format('pid %s', a.pid) AS holder,
           coalesce(a.datname, '-') AS database,
           coalesce(a.usename, '-') AS role,
           extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
           greatest(age(a.backend_xmin), age(a.backend_xid)) AS transactions,
           a.query,
           format('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND xact_start = %L;',
                  a.pid, a.xact_start) AS release
      FROM pg_stat_activity a
     WHERE a.backend_type = 'client backend'
       AND a.pid <> pg_backend_pid()
       AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
    UNION ALL
    SELECT 'prepared', format('prepared transaction %L', p.gid), p.database, p.owner,
           extract(epoch FROM clock_timestamp() - p.prepared)::float8, age(p.transaction), '',
           format('ROLLBACK PREPARED %L; -- in the database %I; COMMIT PREPARED where the coordinator says so',
                  p.gid, p.database)
      FROM pg_prepared_xacts p
    UNION ALL
    SELECT 'replica', format('replica %s', coalesce(nullif(r.application_name, ''), r.pid::text)), '-',
           coalesce(r.usename, '-'), NULL, age(r.backend_xmin), '',
           '-- on the replica: end its long queries, or set hot_standby_feedback = off'
      FROM pg_stat_replication r
     WHERE r.backend_xmin IS NOT NULL
    UNION ALL
    SELECT 'slot', format('slot %s', s.slot_name), coalesce(s.database, '-'), '-', NULL,
           greatest(age(s.xmin), age(s.catalog_xmin)), '',
           CASE WHEN s.active THEN '-- let its consumer catch up'
                ELSE format('SELECT pg_drop_replication_slot(%L);', s.slot_name) END
      FROM pg_replication_slots s
     WHERE s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL
)
SELECT kind, holder, database, role, seconds, transactions, query, release
  FROM horizon
 WHERE seconds >= :warn OR transactions >= :transactions
 ORDER BY transactions DESC NULLS LAST
