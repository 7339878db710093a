-- Functions that run with their owner's rights and can be misused: without a search_path of their own, or
-- for everybody to run. Not those of extensions; a trigger function cannot be called.
SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) AS function,
       format('%I', n.nspname) AS schema,
       r.rolname AS owner,
       r.rolsuper AS superuser,
       f.open_path,
       f.anybody
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_roles r ON r.oid = p.proowner
 CROSS JOIN LATERAL (
        SELECT NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%') AS open_path,
               p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
               AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                            WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE') AS anybody
       ) f
 WHERE p.prosecdef
   AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
   AND (f.open_path OR f.anybody)
 ORDER BY 1
