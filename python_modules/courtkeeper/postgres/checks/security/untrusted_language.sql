-- Languages in which a function may do everything that the server's own account may.
SELECT l.lanname AS language,
       (SELECT count(*) FROM pg_proc p WHERE p.prolang = l.oid) AS functions,
       CASE WHEN e.oid IS NULL THEN format('DROP LANGUAGE %I;', l.lanname)
            ELSE format('DROP EXTENSION %I;', e.extname) END AS remove,
       CASE WHEN e.oid IS NULL THEN '' ELSE format('CREATE EXTENSION %I;', e.extname) END AS create_again
  FROM pg_language l
  LEFT JOIN pg_depend d ON d.classid = 'pg_language'::regclass AND d.objid = l.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = d.refobjid
 WHERE NOT l.lanpltrusted
   AND l.lanname NOT IN ('internal', 'c')
 ORDER BY 1
