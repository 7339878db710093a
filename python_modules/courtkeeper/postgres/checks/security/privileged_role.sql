-- Roles that can log in and may do more than use their databases. Not the role that made the cluster.
SELECT r.rolname AS role,
       format('%I', r.rolname) AS quoted,
       r.rolsuper AS superuser,
       array_remove(ARRAY[CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
                          CASE WHEN r.rolcreatedb AND NOT r.rolsuper THEN 'CREATEDB' END,
                          CASE WHEN r.rolcreaterole AND NOT r.rolsuper THEN 'CREATEROLE' END,
                          CASE WHEN r.rolbypassrls AND NOT r.rolsuper THEN 'BYPASSRLS' END], NULL) AS attributes
  FROM pg_roles r
 WHERE r.rolcanlogin
   AND r.oid <> 10
   AND (r.rolsuper OR r.rolcreatedb OR r.rolcreaterole OR r.rolbypassrls)
   AND NOT :'expected'::jsonb ? r.rolname
 ORDER BY 1
