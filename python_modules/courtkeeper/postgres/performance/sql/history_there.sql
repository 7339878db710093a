-- Whether the upkeep's snapshots of the statistics are here and may be read: tables, as reading a view of
-- somebody else's runs what they like with our rights.
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = 'courtkeeper' AND c.relname = 'statistics_counters' AND c.relkind = 'r') AS found,
       coalesce((SELECT bool_and(c.relkind = 'r' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'courtkeeper'
                    AND c.relname IN ('statistics_counters', 'statistics_snapshots')), false) AS readable
