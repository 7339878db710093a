-- Schemas in which everybody may create objects (the default of `public` before version 15).
SELECT n.nspname AS schema,
       format('%I', n.nspname) AS quoted
  FROM pg_namespace n
 CROSS JOIN LATERAL aclexplode(n.nspacl) a
 WHERE a.grantee = 0 AND a.privilege_type = 'CREATE'
   AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
 ORDER BY 1
