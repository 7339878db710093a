-- The tablespace of a relation, its directory where the role may know it, and since when the server runs.
SELECT coalesce(t.spcname, d.spcname)::text AS name,
       coalesce(nullif(pg_tablespace_location(coalesce(t.oid, d.oid)), ''), s.setting) AS directory,
       s.setting AS data_directory,
       extract(epoch FROM pg_postmaster_start_time())::bigint AS started
  FROM pg_class c
  LEFT JOIN pg_tablespace t ON t.oid = c.reltablespace
  JOIN pg_database b ON b.datname = current_database()
  JOIN pg_tablespace d ON d.oid = b.dattablespace
  LEFT JOIN pg_settings s ON s.name = 'data_directory'
 WHERE c.oid = to_regclass(:relation)
