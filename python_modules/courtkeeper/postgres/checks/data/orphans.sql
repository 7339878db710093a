-- Every foreign key (of a partitioned table once) with the statements that look for rows whose parent is
-- missing, name them, and move them aside. Written by the server, so that names are quoted, the
-- constraint's own operators are used, and the parent's collation as the constraint itself does.
-- MATCH SIMPLE: a null anywhere is fine. MATCH FULL: all columns are null or none is. Plain tables are read
-- ONLY, as their children inherit no foreign key. Those with a period (18) compare ranges, and NOT ENFORCED ones
-- (18) are not meant to hold: they are left out. The smallest first, so that a short time reaches many.
WITH keys AS (
    SELECT c.oid, c.conname, c.conrelid, c.confrelid, c.confmatchtype,
           t.relpages, t.reltuples, t.relkind,
           format('%I.%I', n.nspname, t.relname) AS table_name,
           format('%I.%I', pn.nspname, p.relname) AS parent_name,
           format('%s%I.%I', CASE WHEN t.relkind = 'p' THEN '' ELSE 'ONLY ' END, n.nspname, t.relname) AS child,
           format('%s%I.%I', CASE WHEN p.relkind = 'p' THEN '' ELSE 'ONLY ' END, pn.nspname, p.relname) AS parent,
           format('%I.%I', n.nspname, left(c.conname, 55) || '_orphans') AS aside,
           k.*
      FROM pg_constraint c
      JOIN pg_class t ON t.oid = c.conrelid
      JOIN pg_namespace n ON n.oid = t.relnamespace
      JOIN pg_class p ON p.oid = c.confrelid
      JOIN pg_namespace pn ON pn.oid = p.relnamespace
      CROSS JOIN LATERAL (
            SELECT string_agg(format('f.%I', fa.attname), ', ' ORDER BY u.place) AS columns,
                   string_agg(format('f.%I IS NOT NULL', fa.attname), ' AND ' ORDER BY u.place) AS no_null,
                   string_agg(format('r.%I OPERATOR(%I.%s) f.%I%s', ra.attname, opn.nspname, op.oprname, fa.attname,
                                     CASE WHEN fa.attcollation <> ra.attcollation AND ra.attcollation <> 0
                                          THEN format(' COLLATE %I.%I', con.nspname, co.collname) ELSE '' END),
                              ' AND ' ORDER BY u.place) AS equal,
                   count(*) AS width
              FROM unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY AS u (fnum, rnum, operator, place)
              JOIN pg_attribute fa ON fa.attrelid = c.conrelid AND fa.attnum = u.fnum
              JOIN pg_attribute ra ON ra.attrelid = c.confrelid AND ra.attnum = u.rnum
              JOIN pg_operator op ON op.oid = u.operator
              JOIN pg_namespace opn ON opn.oid = op.oprnamespace
              LEFT JOIN pg_collation co ON co.oid = ra.attcollation
              LEFT JOIN pg_namespace con ON con.oid = co.collnamespace
           ) k
     WHERE c.contype = 'f' AND c.conparentid = 0
       AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
       AND NOT coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false)
       AND n.nspname !~ '^pg_'
), conditions AS (
    SELECT k.*,
           format('%s AND NOT EXISTS (SELECT FROM %s r WHERE %s)', no_null, parent, equal) AS lost,
           CASE WHEN confmatchtype = 'f' AND width > 1
                THEN format('num_nulls(%s) BETWEEN 1 AND %s', columns, width - 1) END AS half
      FROM keys k
)
SELECT format('%s.%I', table_name, conname) AS name,
       table_name, parent_name, aside,
       relkind <> 'p' AND relpages <= 128 AS is_small,
       format('SELECT count(*) OVER () AS orphans, key::text FROM (SELECT jsonb_build_array(%s) AS key FROM %s f WHERE %s%s) o',
              columns, child, lost,
              CASE WHEN half IS NOT NULL
                   THEN format(' UNION ALL SELECT jsonb_build_array(%s) FROM %s f WHERE %s', columns, child, half)
                   ELSE '' END) AS question,
       format('CREATE TABLE %s AS SELECT f.* FROM %s f WHERE %s; DELETE FROM %s f WHERE %s;',
              aside, child, w.wrong, child, w.wrong) AS fix,
       format('INSERT INTO %s SELECT * FROM %s; DROP TABLE %s;', table_name, aside, aside) AS undo,
       replace(columns, 'f.', '') AS columns
  FROM conditions
  CROSS JOIN LATERAL (SELECT CASE WHEN half IS NULL THEN lost ELSE format('(%s) OR (%s)', lost, half) END AS wrong) w
 ORDER BY relkind = 'p', relpages, name
