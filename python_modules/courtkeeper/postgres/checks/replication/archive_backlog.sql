-- WAL files that wait to be archived.
SELECT count(*) AS files,
       min(modification) AS oldest
  FROM pg_ls_archive_statusdir()
 WHERE name LIKE '%.ready'
HAVING count(*) >= :warn
