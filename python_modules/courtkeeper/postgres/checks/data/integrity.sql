-- Whether the database brings a function that verifies its own data, whether we may call it, and whether its
-- owner may be trusted with our rights: it runs with them.
SELECT f.oid IS NOT NULL AS is_there,
       coalesce(has_function_privilege(f.oid, 'EXECUTE'), false) AS is_allowed,
       coalesce(o.rolsuper OR o.rolname = current_user, false) AS is_trusted,
       coalesce(o.rolname, '') AS owner
  FROM (SELECT to_regprocedure('public.verify_data_integrity()')::oid AS oid) f
  LEFT JOIN pg_proc p ON p.oid = f.oid
  LEFT JOIN pg_roles o ON o.oid = p.proowner
