-- Checkpoints since the statistics began: by time, and because WAL had filled max_wal_size (or on demand).
SELECT checkpoints_timed AS timed, checkpoints_req AS requested FROM pg_stat_bgwriter
