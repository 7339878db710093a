-- Where the rows of a table lie: the table itself, or the leaves of its partitions. `indexed`: a plain
-- index begins with the column, so the oldest rows can be found without a scan.
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.reltuples::float8 AS estimated_rows,
       array_remove(ARRAY[CASE WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN 'SELECT' END,
                          CASE WHEN NOT has_table_privilege(c.oid, 'UPDATE') THEN 'UPDATE' END,
                          CASE WHEN NOT has_table_privilege(c.oid, 'DELETE') THEN 'DELETE' END], NULL) AS lacking,
       EXISTS (SELECT FROM pg_index x
                 JOIN pg_class ic ON ic.oid = x.indexrelid
                 JOIN pg_am am ON am.oid = ic.relam AND am.amname = 'btree'
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[0]
                WHERE x.indrelid = c.oid AND x.indisvalid AND x.indpred IS NULL
                  AND a.attname = :column) AS indexed
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid IN (SELECT t.relid FROM pg_partition_tree(:oid::oid) t WHERE t.isleaf)
    OR c.oid = :oid AND c.relkind <> 'p'
 ORDER BY 2, 3
