-- Tables, views and sequences that everybody may read or write. Not those of extensions.
SELECT format('%I.%I', n.nspname, c.relname) AS table_name,
       CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
       array_agg(a.privilege_type ORDER BY a.privilege_type) AS privileges
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL aclexplode(c.relacl) a
 WHERE c.relacl IS NOT NULL
   AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
   AND a.grantee = 0
   AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 GROUP BY n.nspname, c.relname, c.relkind
 ORDER BY 1
