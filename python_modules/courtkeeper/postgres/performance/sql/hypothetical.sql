-- Where hypopg is, and whether it could be: installed, or installed for one transaction.
SELECT (SELECT n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
         WHERE e.extname = 'hypopg') AS schema,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hypopg') AS available
