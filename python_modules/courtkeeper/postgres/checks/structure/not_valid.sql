-- Constraints that were added NOT VALID and never validated: old rows may break them, and the planner
-- may not rely on them. What a parent hands down is reported with the parent; what was declared
-- NOT ENFORCED (18) is so on purpose.
SELECT format('%I.%I', n.nspname, coalesce(r.relname, t.typname)) AS object_name,
       format('%I', c.conname) AS constraint_name,
       CASE WHEN c.contypid <> 0 THEN 'DOMAIN' ELSE 'TABLE' END AS object_kind,
       c.contype::text AS kind
  FROM pg_constraint c
  LEFT JOIN pg_class r ON r.oid = c.conrelid
  LEFT JOIN pg_type t ON t.oid = c.contypid
  JOIN pg_namespace n ON n.oid = coalesce(r.relnamespace, t.typnamespace)
 WHERE NOT c.convalidated
   AND c.conparentid = 0
   AND (c.conislocal OR c.contypid <> 0)
   AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY 1, 2
