-- Tables with a log of pg_repack's (repack.log_<oid>) while none of it is at work in this database.
SELECT t.oid::bigint AS oid, format('%I.%I', n.nspname, t.relname) AS name
  FROM pg_class l
  JOIN pg_namespace r ON r.oid = l.relnamespace AND r.nspname = 'repack'
  JOIN pg_class t ON t.oid = substring(l.relname FROM '^log_([0-9]+)$')::oid
  JOIN pg_namespace n ON n.oid = t.relnamespace
 WHERE l.relkind = 'r'
   AND NOT EXISTS (SELECT FROM pg_stat_activity a
                    WHERE a.datname = current_database() AND a.application_name = 'pg_repack')
 ORDER BY 2
