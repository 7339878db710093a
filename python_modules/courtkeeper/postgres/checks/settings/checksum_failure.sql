-- Pages whose checksum was wrong when they were read, by database (the shared objects have none).
SELECT coalesce(d.datname, 'the shared objects') AS database,
       d.checksum_failures AS failures,
       d.checksum_last_failure AS last_failure
  FROM pg_stat_database d
 WHERE d.checksum_failures > 0
 ORDER BY 1
