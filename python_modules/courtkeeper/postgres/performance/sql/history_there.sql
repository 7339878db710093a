-- Whether the upkeep's snapshots of the statistics are here and may be read.
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'courtkeeper' AND c.relname = 'statistics_counters') AS found,
       coalesce((SELECT bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'courtkeeper'
                    AND c.relname IN ('statistics_counters', 'statistics_snapshots')), false) AS readable
