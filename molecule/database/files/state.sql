-- All that a plan must leave alone: how many rows and pages each relation has and in which file it lies, and
-- the definitions of the constraints, indexes, settings and slots.
SELECT json_build_object(
    'relations', (SELECT json_object_agg(oid::regclass, json_build_array(relfilenode, pg_relation_size(oid)) ORDER BY oid)
                    FROM pg_class WHERE relkind IN ('r', 'i', 'S', 't') AND relnamespace >= 16384 OR relnamespace = 'public'::regnamespace),
    'rows', (SELECT json_object_agg(oid::regclass, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s', oid::regclass), false, true, '')))[1]::text ORDER BY oid)
               FROM pg_class WHERE relkind = 'r' AND (relnamespace >= 16384 OR relnamespace = 'public'::regnamespace)),
    'constraints', (SELECT json_agg(conname || pg_get_constraintdef(oid) || convalidated ORDER BY oid) FROM pg_constraint),
    'indexes', (SELECT json_agg(pg_get_indexdef(indexrelid) || indisvalid ORDER BY indexrelid) FROM pg_index),
    'settings', (SELECT json_agg(name || setting ORDER BY name) FROM pg_settings WHERE source = 'configuration file'),
    'slots', (SELECT json_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots));
