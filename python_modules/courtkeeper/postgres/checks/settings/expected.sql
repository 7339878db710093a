-- Settings that differ from what is declared: psql -v expected='{"work_mem": "64MB"}'. The server itself
-- turns units into its own; what has no unit is taken to be in the setting's.
WITH declared AS (
    SELECT lower(key) AS name, value AS expected FROM jsonb_each_text(:'expected'::jsonb)
), compared AS (
    SELECT d.name, d.expected, s.setting, s.unit, s.vartype, s.context, s.sourcefile, s.pending_restart,
           s.source IN ('client', 'session') AS own,
           CASE
               WHEN s.name IS NULL THEN false
               WHEN s.vartype = 'bool' THEN
                   CASE WHEN lower(d.expected) IN ('on', 'true', 'yes', '1') THEN s.setting = 'on'
                        WHEN lower(d.expected) IN ('off', 'false', 'no', '0') THEN s.setting = 'off'
                        ELSE false END
               WHEN s.vartype IN ('integer', 'real') AND d.expected ~ '^[-+]?[0-9]{1,18}(\.[0-9]{1,9})?$' THEN
                   abs(d.expected::numeric - s.setting::numeric)
                       <= CASE s.vartype WHEN 'integer' THEN 0 ELSE 0.000001 END
               WHEN s.unit IN ('B', 'kB', '8kB', 'MB', '16MB')
                    AND d.expected ~ '^[0-9]{1,15}(\.[0-9]{1,9})? *(B|kB|MB|GB|TB)$' THEN
                   -- before version 16 the function knows "bytes" and not "B"
                   round(pg_size_bytes(regexp_replace(d.expected, '([0-9]) *B$', '\1 bytes'))
                         / pg_size_bytes(regexp_replace(regexp_replace(s.unit, '^([a-zA-Z])', '1\1'),
                                                        '([0-9]) *B$', '\1 bytes'))::numeric)
                       = s.setting::numeric
               WHEN s.unit IN ('ms', 's', 'min')
                    AND d.expected ~ '^[0-9]{1,9}(\.[0-9]{1,9})? *(us|ms|s|min|h|d)$' THEN
                   abs(extract(epoch FROM d.expected::interval)::numeric
                       - s.setting::numeric * extract(epoch FROM ('1' || s.unit)::interval)::numeric)
                       <= CASE s.vartype WHEN 'integer' THEN 0.5 * extract(epoch FROM ('1' || s.unit)::interval)
                                         ELSE 0.000001 END
               WHEN s.vartype = 'enum' THEN lower(s.setting) = lower(d.expected)
               ELSE regexp_replace(s.setting, '\s*,\s*', ',', 'g') = regexp_replace(d.expected, '\s*,\s*', ',', 'g')
           END AS same
      FROM declared d
      LEFT JOIN pg_settings s ON lower(s.name) = d.name
)
SELECT name, expected, setting, coalesce(context, '') AS context,
       CASE WHEN unit IS NULL THEN setting ELSE current_setting(name) END AS readable,
       coalesce(sourcefile LIKE '%/postgresql.auto.conf', false) AS altered,
       coalesce(pending_restart, false) AS pending,
       coalesce(own, false) AS own
  FROM compared
 WHERE own OR NOT same
 ORDER BY name
