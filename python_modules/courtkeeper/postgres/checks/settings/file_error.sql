-- Lines of the configuration files that the server cannot use. What waits for a restart is no error.
SELECT coalesce(f.sourcefile, '-') AS file,
       coalesce(f.sourceline, 0) AS line,
       coalesce(f.name, '') AS name,
       f.error
  FROM pg_file_settings f
 WHERE f.error IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = f.name AND s.pending_restart)
 ORDER BY 1, 2
