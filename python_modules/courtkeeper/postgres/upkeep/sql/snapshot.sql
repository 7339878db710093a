INSERT INTO courtkeeper.statistics_snapshots (stats_reset, statements_reset)
SELECT stats_reset, NULL FROM pg_stat_database WHERE datname = current_database()
RETURNING id
