-- All that a plan must leave alone: how many rows each table has, how big each relation is and in which file it
-- lies, and the definitions of constraints, indexes, settings and slots.
WITH ours AS (
    SELECT c.oid, c.relkind, c.relfilenode, format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'i', 'S')
)
SELECT json_build_object(
    'relations', (SELECT json_object_agg(name, json_build_array(relfilenode, pg_relation_size(oid)) ORDER BY name) FROM ours),
    'rows', (SELECT json_object_agg(name, query_to_xml('SELECT count(*) FROM ' || name, true, true, '')::text ORDER BY name)
               FROM ours WHERE relkind = 'r'),
    'constraints', (SELECT json_agg(conname || pg_get_constraintdef(oid) || convalidated ORDER BY oid) FROM pg_constraint),
    'indexes', (SELECT json_agg(pg_get_indexdef(indexrelid) || indisvalid ORDER BY indexrelid) FROM pg_index),
    'settings', (SELECT json_agg(name || setting ORDER BY name) FROM pg_settings WHERE source = 'configuration file'),
    'slots', (SELECT json_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots));
