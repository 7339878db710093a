-- Look for names where the role looks for them: by its own settings in this database, or for all, or the database's.
SELECT set_config('search_path', substring(c.setting FROM '^search_path=(.*)$'), true)
  FROM pg_db_role_setting s
  LEFT JOIN pg_roles r ON r.oid = s.setrole
  LEFT JOIN pg_database d ON d.oid = s.setdatabase
 CROSS JOIN LATERAL unnest(s.setconfig) AS c (setting)
 WHERE c.setting LIKE 'search_path=%'
   AND (s.setrole = 0 OR r.rolname = :role)
   AND (s.setdatabase = 0 OR d.datname = current_database())
 ORDER BY s.setrole <> 0 DESC, s.setdatabase <> 0 DESC
 LIMIT 1
