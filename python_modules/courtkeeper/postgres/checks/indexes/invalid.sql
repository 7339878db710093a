-- Indexes that a failed CREATE or REINDEX CONCURRENTLY left behind: written to, never read.
-- Not one that is being built at this moment. A leftover of REINDEX is known by its suffix and by the index
-- that it was to replace (or was replaced by), which has the same columns and rows: anything else is built
-- again rather than dropped.
SELECT format('%I.%I', n.nspname, c.relname) AS index_name,
       format('%I.%I', bn.nspname, b.relname) AS table_name,
       pg_relation_size(c.oid) AS bytes,
       i.indisready AS ready,
       i.indisexclusion AS excludes,
       twin.name AS replaces
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class b ON b.oid = i.indrelid
  JOIN pg_namespace bn ON bn.oid = b.relnamespace
  LEFT JOIN LATERAL (
        SELECT format('%I.%I', n.nspname, t.relname) AS name
          FROM pg_index o
          JOIN pg_class t ON t.oid = o.indexrelid
         WHERE c.relname ~ '_cc(new|old)[0-9]*$'
           AND o.indrelid = i.indrelid
           AND o.indexrelid <> i.indexrelid
           AND t.relam = c.relam
           AND o.indkey = i.indkey AND o.indclass = i.indclass AND o.indcollation = i.indcollation
           AND o.indoption = i.indoption AND o.indisunique = i.indisunique
           AND pg_get_expr(o.indexprs, o.indrelid) IS NOT DISTINCT FROM pg_get_expr(i.indexprs, i.indrelid)
           AND pg_get_expr(o.indpred, o.indrelid) IS NOT DISTINCT FROM pg_get_expr(i.indpred, i.indrelid)
           -- a long name was cut to make room for the suffix
           AND starts_with(t.relname, regexp_replace(c.relname, '_cc(new|old)[0-9]*$', ''))
           AND t.relname !~ '_cc(new|old)[0-9]*$'
         LIMIT 1
       ) twin ON true
 WHERE NOT i.indisvalid
   AND c.relkind = 'i'
   -- that of a temporary table is its session's alone: nobody else can build or drop it
   AND c.relpersistence <> 't'
   AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = c.oid)
 ORDER BY 1
