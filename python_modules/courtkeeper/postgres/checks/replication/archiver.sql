-- An archiver that is on and fails, or that has nothing to call.
SELECT a.failed_count,
       a.last_failed_wal,
       a.last_failed_time,
       a.last_archived_time,
       current_setting('archive_command') = '' AND coalesce(current_setting('archive_library', true), '') = ''
           AS idle
  FROM pg_stat_archiver a
 WHERE current_setting('archive_mode') <> 'off'
   AND NOT (pg_is_in_recovery() AND current_setting('archive_mode') = 'on')
   AND (a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
        OR current_setting('archive_command') = '' AND coalesce(current_setting('archive_library', true), '') = '')
