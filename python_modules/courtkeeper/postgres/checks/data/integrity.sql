-- Whether the database brings a function that verifies its own data, and whether we may call it.
SELECT f.oid IS NOT NULL AS is_there,
       coalesce(has_function_privilege(f.oid, 'EXECUTE'), false) AS is_allowed
  FROM (SELECT to_regprocedure('public.verify_data_integrity()')::oid AS oid) f
