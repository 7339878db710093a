-- Settings that a file gives one value and ALTER SYSTEM (postgresql.auto.conf) another, which wins.
-- Those that are declared are compared with the declaration instead (expected.sql), and those that say what
-- our own performance duty applied are meant.
SELECT auto.name,
       auto.setting AS in_force,
       written.setting AS written,
       written.sourcefile AS file,
       written.sourceline AS line,
       format('ALTER SYSTEM RESET %I; SELECT pg_reload_conf();', auto.name) AS reset
  FROM (SELECT DISTINCT ON (name) name, setting FROM pg_file_settings
         WHERE sourcefile LIKE '%/postgresql.auto.conf' ORDER BY name, seqno DESC) auto
  JOIN (SELECT DISTINCT ON (name) name, setting, sourcefile, sourceline FROM pg_file_settings
         WHERE sourcefile NOT LIKE '%/postgresql.auto.conf' ORDER BY name, seqno DESC) written
    ON lower(written.name) = lower(auto.name) AND written.setting IS DISTINCT FROM auto.setting
 WHERE NOT :'expected'::jsonb ? auto.name
   AND :'applied'::jsonb ->> auto.name IS DISTINCT FROM auto.setting
 ORDER BY auto.name
