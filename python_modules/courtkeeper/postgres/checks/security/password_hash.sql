-- Roles that can log in and whose password is kept as MD5 (or in the clear). The hash stays in the server.
SELECT r.rolname AS role,
       format('%I', r.rolname) AS quoted,
       CASE WHEN r.rolpassword ~ '^md5[0-9a-f]{32}$' THEN 'MD5' ELSE 'an unknown form' END AS kind
  FROM pg_authid r
 WHERE r.rolcanlogin
   AND r.rolpassword IS NOT NULL
   AND r.rolpassword NOT LIKE 'SCRAM-SHA-256$%'
 ORDER BY 1
