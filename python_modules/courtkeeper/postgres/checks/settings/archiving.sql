-- A primary from which no point in time can be restored: it archives nothing, and nobody receives its WAL.
SELECT current_setting('wal_level') AS wal_level,
       current_setting('archive_mode') AS archive_mode
 WHERE NOT pg_is_in_recovery()
   AND (current_setting('wal_level') = 'minimal'
        OR current_setting('archive_mode') = 'off'
           AND NOT EXISTS (SELECT FROM pg_stat_replication WHERE state <> 'backup'))
