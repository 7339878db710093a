-- The columns of a table in their order.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null, a.atthasdef AS has_default,
       a.attgenerated::text <> '' AS generated, a.attidentity::text <> '' AS identity
  FROM pg_attribute a
 WHERE a.attrelid = :oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
