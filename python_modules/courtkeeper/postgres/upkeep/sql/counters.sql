-- The counters of tables and indexes as they stand.
INSERT INTO courtkeeper.statistics_counters (snapshot_id, kind, object, counters)
SELECT :snapshot, 'table', format('%I.%I', schemaname, relname),
       jsonb_build_object('seq_scan', seq_scan, 'seq_tup_read', seq_tup_read,
                          'idx_scan', coalesce(idx_scan, 0), 'idx_tup_fetch', coalesce(idx_tup_fetch, 0),
                          'n_tup_ins', n_tup_ins, 'n_tup_upd', n_tup_upd, 'n_tup_del', n_tup_del,
                          'n_tup_hot_upd', n_tup_hot_upd, 'vacuum_count', vacuum_count,
                          'autovacuum_count', autovacuum_count, 'analyze_count', analyze_count,
                          'autoanalyze_count', autoanalyze_count)
  FROM pg_stat_user_tables
 WHERE schemaname !~ '^pg_' AND schemaname <> 'courtkeeper'
UNION ALL
SELECT :snapshot, 'index', format('%I.%I', schemaname, indexrelname),
       jsonb_build_object('idx_scan', idx_scan, 'idx_tup_read', idx_tup_read, 'idx_tup_fetch', idx_tup_fetch)
  FROM pg_stat_user_indexes
 WHERE schemaname !~ '^pg_' AND schemaname <> 'courtkeeper'
