-- Databases by the age of their oldest multixact id: at 2,147 million the server stops taking row locks.
SELECT format('%I', d.datname) AS database_name,
       mxid_age(d.datminmxid)::bigint AS age,
       d.datname = current_database() AS is_current
  FROM pg_database d
 WHERE mxid_age(d.datminmxid) >= :crit
 ORDER BY 2 DESC, 1
