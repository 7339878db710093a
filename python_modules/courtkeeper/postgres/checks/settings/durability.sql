-- Settings that let a crash or a bad disk take committed data away, silently.
WITH danger (name, bad, good, severe, why) AS (VALUES
    ('fsync', 'off', 'on', true, 'a crash of the machine may destroy the whole cluster'),
    ('full_page_writes', 'off', 'on', true, 'a crash may leave torn pages that nothing can mend'),
    ('zero_damaged_pages', 'on', 'off', true, 'damaged pages are overwritten with nothing'),
    ('ignore_checksum_failure', 'on', 'off', true, 'damaged pages are read as if they were sound'),
    ('ignore_invalid_pages', 'on', 'off', true, 'recovery goes on over damaged pages'),
    ('synchronous_commit', 'off', 'on', false, 'a crash loses the last commits that clients believe in'),
    ('data_checksums', 'off', 'on', false, 'a page that the disk damages is not noticed')
)
SELECT s.name, s.setting, d.severe, d.why,
       CASE s.context
            WHEN 'internal' THEN '-- with the server stopped: pg_checksums --enable -D …'
            WHEN 'postmaster' THEN format('ALTER SYSTEM SET %I = %L; -- then restart the server', s.name, d.good)
            ELSE format('ALTER SYSTEM SET %I = %L; SELECT pg_reload_conf();', s.name, d.good) END AS fix,
       CASE WHEN s.context = 'internal' THEN ''
            ELSE format('ALTER SYSTEM SET %I = %L; SELECT pg_reload_conf();', s.name, s.setting) END AS undo
  FROM danger d
  JOIN pg_settings s ON s.name = d.name AND s.setting = d.bad
 ORDER BY d.severe DESC, s.name
