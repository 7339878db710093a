SELECT json_build_object(
  'now', clock_timestamp(),
  'version', current_setting('server_version'),
  'system', (SELECT system_identifier FROM pg_control_system()),
  'data_directory', current_setting('data_directory', true),
  'in_recovery', pg_is_in_recovery(),
  'segment_bytes', (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
  'archive_mode', current_setting('archive_mode'),
  'archive_command', coalesce(current_setting('archive_command', true), ''),
  'archive_library', coalesce(current_setting('archive_library', true), ''),
  'checksums', current_setting('data_checksums') = 'on',
  'waiting', coalesce(w.names, '[]'::json),
  'waiting_since', w.since,
  'archived', coalesce(a.last_archived_wal, ''),
  'archived_at', a.last_archived_time,
  'failed', coalesce(a.last_failed_wal, ''),
  'failed_at', a.last_failed_time)
  FROM pg_stat_archiver a,
       (SELECT json_agg(left(name, 24) ORDER BY name) AS names, min(modification) AS since
          FROM pg_ls_archive_statusdir()
         WHERE name ~ '^[0-9A-F]{24}\.ready$') w
