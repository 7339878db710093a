-- The direct partitions of a table, the oldest bound first. `due_by_bound`: the range ends at or before the
-- cutoff (null where the bounds do not speak of the column). A partition that somebody is detaching has
-- left the parent's view already; whose bounds are taken out, stands there with `detaching`. `comment` is
-- what stood there before our mark.
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name,
       format('%I.%I', n.nspname, c.relname) AS quoted,
       coalesce(pg_get_expr(c.relpartbound, c.oid), '') AS bound,
       true AS attached,
       coalesce(pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', false) AS is_default,
       coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false) AS detaching,
       coalesce(split_part(obj_description(c.oid, 'pg_class'), E'\n', 1) = :mark, false) AS marked,
       CASE WHEN split_part(obj_description(c.oid, 'pg_class'), E'\n', 1) = :mark
            THEN regexp_replace(obj_description(c.oid, 'pg_class'), '^[^\n]*\n[^\n]*\n?', '')
            ELSE coalesce(obj_description(c.oid, 'pg_class'), '') END AS comment,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       CASE WHEN :by_bound THEN
            coalesce((regexp_match(pg_get_expr(c.relpartbound, c.oid), $$TO \('([^']*)'\)$$))[1]::timestamptz
                     <= :cutoff::timestamptz
                     -- with further columns in the key, rows of the bound itself may be in it
                     OR (regexp_match(pg_get_expr(c.relpartbound, c.oid), $$TO \('([^']*)'$$))[1]::timestamptz
                     < :cutoff::timestamptz, false)
       END AS due_by_bound
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE i.inhparent = :oid
 ORDER BY (regexp_match(pg_get_expr(c.relpartbound, c.oid), $$TO \('([^']*)'$$))[1], 2, 3
