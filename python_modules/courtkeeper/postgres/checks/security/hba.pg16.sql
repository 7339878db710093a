-- Rules of pg_hba.conf by which somebody gets in too easily, and lines that cannot be read. From version
-- 16 on a rule may stand in an included file.
SELECT h.file_name AS file,
       h.line_number AS line,
       coalesce(h.type, '') AS type,
       coalesce(array_to_string(h.database, ','), '') AS databases,
       coalesce(array_to_string(h.user_name, ','), '') AS roles,
       coalesce(h.address, '') || coalesce('/' || masklen(h.netmask::inet), '') AS address,
       coalesce(h.auth_method, '') AS method,
       h.error,
       h.type = 'local' OR h.address IN ('127.0.0.1', '::1', 'localhost', 'samehost') AS here,
       h.address = 'all' OR h.netmask IN ('0.0.0.0', '::') AS anywhere
  FROM pg_hba_file_rules h
 WHERE h.error IS NOT NULL
    OR h.auth_method IN ('trust', 'password', 'md5')
    OR h.type IN ('host', 'hostnossl') AND h.auth_method <> 'reject'
       AND (h.address = 'all' OR h.netmask IN ('0.0.0.0', '::'))
 ORDER BY h.file_name, h.line_number
