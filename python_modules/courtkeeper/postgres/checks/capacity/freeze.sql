-- How much of autovacuum_freeze_max_age is used, above which autovacuum freezes by force: each table of this
-- database (with its TOAST table), and every other database as a whole. The worst `shown`; `total` counts all.
WITH tables AS (
    SELECT format('%I.%I', n.nspname, c.relname) AS name,
           greatest(age(c.relfrozenxid), age(t.relfrozenxid)) AS age,
           least(current_setting('autovacuum_freeze_max_age')::bigint,
                 substring(array_to_string(c.reloptions, ' ') FROM 'autovacuum_freeze_max_age=([0-9]+)')::bigint)
           AS highest
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
), judged AS (
    SELECT name, false AS is_database, age::bigint AS age, highest, 100.0 * age / highest AS used FROM tables
    UNION ALL
    SELECT format('%I', d.datname), true, age(d.datfrozenxid),
           current_setting('autovacuum_freeze_max_age')::bigint,
           100.0 * age(d.datfrozenxid) / current_setting('autovacuum_freeze_max_age')::bigint
      FROM pg_database d
     WHERE d.datname <> current_database()
)
SELECT name, is_database, age, highest, used, count(*) OVER () AS total
  FROM judged
 WHERE used >= :warn
 ORDER BY used DESC, name
 LIMIT :shown::bigint
