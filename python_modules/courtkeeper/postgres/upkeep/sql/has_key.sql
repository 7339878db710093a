-- Whether a table has what pg_repack goes by: a primary key, or a unique index whose columns are not null.
SELECT
  FROM pg_index i
 WHERE i.indrelid = :oid
   AND i.indisvalid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate
   AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) AS k (attnum)
                     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                    WHERE NOT a.attnotnull)
 LIMIT 1
