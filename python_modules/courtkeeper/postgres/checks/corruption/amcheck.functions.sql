-- Which of amcheck's functions this server and this version of the extension have, and may we call them.
SELECT p.proname AS name,
       quote_ident(n.nspname) AS schema,
       p.oid::regprocedure::text AS signature,
       has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(n.oid, 'USAGE') AS allowed,
       'checkunique' = ANY (p.proargnames) AS checks_unique
  FROM pg_extension e
  JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE e.extname = 'amcheck'
   AND p.proname IN ('verify_heapam', 'bt_index_check', 'gin_index_check')
 ORDER BY p.pronargs DESC
