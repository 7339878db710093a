-- Tables (each with its TOAST table) whose oldest multixact id holds back the database's: the oldest first.
-- That of another session's temporary table only this session can vacuum, by hand.
SELECT format('%I.%I', n.nspname, c.relname) AS table_name,
       greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid))::bigint AS age,
       c.relpersistence = 't' AS is_temporary
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
 WHERE c.relkind IN ('r', 'm')
   AND greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) >= :crit
 ORDER BY 2 DESC, 1
