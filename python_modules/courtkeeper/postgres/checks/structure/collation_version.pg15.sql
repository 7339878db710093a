-- The database, and collations in use by an index or a partition key, whose order the operating system
-- has changed since: such an index may not find what is there.
WITH used AS (
    SELECT u.collation_oid,
           array_agg(DISTINCT format('%I.%I', xn.nspname, x.relname)) AS indexes,
           coalesce(array_agg(DISTINCT format('%I.%I', xn.nspname, x.relname)) FILTER (WHERE i.indisexclusion), '{}')
           AS excluding
      FROM pg_index i
      JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i'
      JOIN pg_namespace xn ON xn.oid = x.relnamespace
     CROSS JOIN LATERAL (
            SELECT unnest(i.indcollation::oid[])
             UNION
            -- named in an expression or a condition
            SELECT d.refobjid FROM pg_depend d
             WHERE d.classid = 'pg_class'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_collation'::regclass
             UNION
            -- of a column that an expression or a condition may compare
            SELECT a.attcollation FROM pg_depend d
              JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_class'::regclass AND d.objid = x.oid
               AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
               AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
           ) u (collation_oid)
     -- no other session can build, or needs, the index of a temporary table again
     WHERE x.relpersistence <> 't' AND u.collation_oid <> 0
     GROUP BY u.collation_oid
), cut AS (
    SELECT DISTINCT u.collation_oid
      FROM pg_partitioned_table p CROSS JOIN LATERAL unnest(p.partcollation::oid[]) AS u (collation_oid)
)
SELECT format('%I.%I', n.nspname, c.collname) AS name,
       false AS is_database,
       c.collversion AS recorded,
       pg_collation_actual_version(c.oid) AS actual,
       coalesce(used.indexes, '{}') AS indexes,
       coalesce(used.excluding, '{}') AS excluding,
       cut.collation_oid IS NOT NULL AS cuts_partitions
  FROM pg_collation c
  JOIN pg_namespace n ON n.oid = c.collnamespace
  LEFT JOIN used ON used.collation_oid = c.oid
  LEFT JOIN cut ON cut.collation_oid = c.oid
 WHERE c.collversion IS NOT NULL
   AND (used.collation_oid IS NOT NULL OR cut.collation_oid IS NOT NULL)
   AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid)
UNION ALL
SELECT format('%I', d.datname), true, d.datcollversion, pg_database_collation_actual_version(d.oid),
       coalesce(used.indexes, '{}'), coalesce(used.excluding, '{}'),
       EXISTS (SELECT FROM cut WHERE cut.collation_oid = 'pg_catalog."default"'::regcollation)
  FROM pg_database d
  LEFT JOIN used ON used.collation_oid = 'pg_catalog."default"'::regcollation
 WHERE d.datname = current_database()
   AND d.datcollversion IS NOT NULL
   AND d.datcollversion IS DISTINCT FROM pg_database_collation_actual_version(d.oid)
 ORDER BY 1
