-- How many checkpoints came before their time, mostly because max_wal_size was full.
SELECT c.checkpoints_timed AS timed,
       c.checkpoints_req AS forced,
       round(100.0 * c.checkpoints_req / (c.checkpoints_timed + c.checkpoints_req), 1) AS share,
       current_setting('max_wal_size') AS max_wal_size,
       (pg_size_bytes(current_setting('max_wal_size')) * 2 / 1048576)::bigint AS twice_mb
  FROM pg_stat_bgwriter c
 WHERE c.checkpoints_timed + c.checkpoints_req >= greatest(:min_checkpoints, 1)
   AND 100.0 * c.checkpoints_req >= :warn * (c.checkpoints_timed + c.checkpoints_req)
