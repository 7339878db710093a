-- How big a relation is with all that belongs to it, and its dead rows. NULL where it is gone.
SELECT pg_total_relation_size(to_regclass(:relation)) AS bytes,
       coalesce((SELECT s.n_dead_tup FROM pg_stat_all_tables s WHERE s.relid = to_regclass(:relation)), 0) AS dead_rows
