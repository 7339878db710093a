-- How many checkpoints came before their time, mostly because max_wal_size was full.
SELECT c.num_timed AS timed,
       c.num_requested AS forced,
       round(100.0 * c.num_requested / (c.num_timed + c.num_requested), 1) AS share,
       current_setting('max_wal_size') AS max_wal_size,
       (pg_size_bytes(current_setting('max_wal_size')) * 2 / 1048576)::bigint AS twice_mb
  FROM pg_stat_checkpointer c
 WHERE c.num_timed + c.num_requested >= greatest(:min_checkpoints, 1)
   AND 100.0 * c.num_requested >= :warn * (c.num_timed + c.num_requested)
