-- Sequences by what the column can hold, which may be less than what the sequence says; and all that the role
-- may not read: up to 17 pg_sequence_last_value would fail for them, from 18 on it is null.
SELECT format('%I.%I', sn.nspname, s.relname) AS sequence_name,
       a.attrelid::regclass::text AS table_name,
       format('%I', a.attname) AS column_name,
       format_type(a.atttypid, NULL) AS type_name,
       r.readable,
       coalesce(CASE WHEN r.readable THEN pg_sequence_last_value(s.oid) END, 0) AS last_value,
       least(q.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767
                                       WHEN 'int4'::regtype THEN 2147483647
                                       ELSE 9223372036854775807 END) AS highest
  FROM pg_sequence q
  JOIN pg_class s ON s.oid = q.seqrelid
  JOIN pg_namespace sn ON sn.oid = s.relnamespace
  JOIN LATERAL (
        -- owned by a column (serial, identity), or named in a column's default
        SELECT d.refobjid AS relid, d.refobjsubid AS attnum
          FROM pg_depend d
         WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid
           AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
        UNION
        SELECT f.adrelid, f.adnum
          FROM pg_depend d
          JOIN pg_attrdef f ON f.oid = d.objid AND d.classid = 'pg_attrdef'::regclass
         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid
       ) used ON true
  JOIN pg_attribute a ON a.attrelid = used.relid AND a.attnum = used.attnum
 CROSS JOIN LATERAL (SELECT has_sequence_privilege(s.oid, 'USAGE, SELECT') AS readable) r
 WHERE q.seqincrement > 0 AND NOT q.seqcycle
   AND sn.nspname NOT LIKE 'pg\_temp\_%'
   AND (NOT r.readable
        OR coalesce(CASE WHEN r.readable THEN pg_sequence_last_value(s.oid) END, 0) >= 0.01 * :warn
           * least(q.seqmax, CASE a.atttypid WHEN 'int2'::regtype THEN 32767
                                             WHEN 'int4'::regtype THEN 2147483647
                                             ELSE 9223372036854775807 END))
 ORDER BY 1
