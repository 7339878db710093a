-- Databases by the age of their oldest transaction id: at 2,147 million the server stops taking writes.
SELECT format('%I', d.datname) AS database_name,
       age(d.datfrozenxid)::bigint AS age,
       2147483648 - age(d.datfrozenxid)::bigint AS remaining
  FROM pg_database d
 WHERE age(d.datfrozenxid) >= :warn
 ORDER BY 2 DESC, 1
