-- Triggers that do not fire. The triggers of a foreign key are gathered under its name: while they are
-- off, anything may be written. What a partition takes over from its parent is reported with the parent.
SELECT format('%I.%I', n.nspname, t.relname) AS table_name,
       format('%I', coalesce(c.conname, g.tgname)) AS name,
       c.oid IS NOT NULL AS is_constraint,
       array_agg(format('ALTER TABLE %I.%I ENABLE TRIGGER %I;', gn.nspname, gt.relname, g.tgname)
                 ORDER BY g.oid) AS statements
  FROM pg_trigger g
  JOIN pg_class gt ON gt.oid = g.tgrelid
  JOIN pg_namespace gn ON gn.oid = gt.relnamespace
  LEFT JOIN pg_constraint c ON c.oid = g.tgconstraint AND g.tgisinternal
  JOIN pg_class t ON t.oid = coalesce(c.conrelid, g.tgrelid)
  JOIN pg_namespace n ON n.oid = t.relnamespace
 WHERE (g.tgenabled = 'D' OR g.tgisinternal AND g.tgenabled = 'R')
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_trigger above
                    WHERE above.oid = g.tgparentid AND above.tgenabled = g.tgenabled)
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e')
 GROUP BY n.nspname, t.relname, c.oid, coalesce(c.conname, g.tgname)
 ORDER BY 1, 2
