-- What the configuration files say, the later line overriding the earlier. Superusers only.
SELECT f.name, f.setting, coalesce(f.sourcefile LIKE '%postgresql.auto.conf', false) AS automatic
  FROM pg_file_settings f
 WHERE f.name = ANY (:names)
 ORDER BY f.seqno
