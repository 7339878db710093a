-- Partitions that a run before this one took out of a table and did not live to drop: they carry our mark,
-- in its second line the bounds that they had, and then their own comment.
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name,
       format('%I.%I', n.nspname, c.relname) AS quoted, split_part(d.description, E'\n', 2) AS bound,
       regexp_replace(d.description, '^[^\n]*\n[^\n]*\n?', '') AS comment,
       false AS attached, false AS is_default, false AS detaching, true AS marked,
       pg_has_role(c.relowner, 'USAGE') AS owned, NULL::boolean AS due_by_bound
  FROM pg_description d
  JOIN pg_class c ON c.oid = d.objoid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND split_part(d.description, E'\n', 1) = :mark
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY 2, 3
