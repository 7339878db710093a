-- Names of indexes as the server writes them; NULL for what is no index here. One without a schema is of public.
SELECT given.name,
       CASE WHEN c.oid IS NOT NULL THEN format('%I.%I', n.nspname, c.relname) END AS known
  FROM unnest(:names::text[]) AS given (name)
  LEFT JOIN pg_class c
    ON c.oid = to_regclass(CASE WHEN position('.' IN given.name) = 0 THEN 'public.' ELSE '' END || given.name)
   AND c.relkind IN ('i', 'I')
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
