-- Extensions of this database whose version is not the server's default, and whether there is a way back.
SELECT format('%I', e.extname) AS extension_name,
       e.extname AS plain_name,
       e.extversion AS installed,
       a.default_version AS available,
       EXISTS (SELECT FROM pg_extension_update_paths(e.extname) p
                WHERE p.source = a.default_version AND p.target = e.extversion AND p.path IS NOT NULL) AS has_way_back
  FROM pg_extension e
  JOIN pg_available_extensions a ON a.name = e.extname
 WHERE a.default_version <> e.extversion
   AND EXISTS (SELECT FROM pg_extension_update_paths(e.extname) p
                WHERE p.source = e.extversion AND p.target = a.default_version AND p.path IS NOT NULL)
 ORDER BY 1
