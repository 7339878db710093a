-- How often a block of this database was found in shared_buffers, once enough blocks were asked for.
SELECT format('%I', d.datname) AS database_name,
       d.blks_hit AS hits,
       d.blks_read AS reads,
       round(100.0 * d.blks_hit / (d.blks_hit + d.blks_read), 2) AS rate,
       current_setting('shared_buffers') AS buffers,
       (pg_size_bytes(current_setting('shared_buffers')) * 2 / 1024)::bigint AS twice_kb
  FROM pg_stat_database d
 WHERE d.datname = current_database()
   AND d.blks_hit + d.blks_read >= greatest(:min_blocks, 1)
   AND 100.0 * d.blks_hit < :warn * (d.blks_hit + d.blks_read)
