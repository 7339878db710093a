SELECT json_build_object(
    'version', current_setting('server_version_num')::int / 10000 || '',
    'requests', (SELECT count(*) FROM api_requests),
    'archived', (SELECT count(*) FROM archive.api_requests),
    'late', (SELECT count(*) FROM archive.api_requests WHERE path LIKE '/late/%'),
    'replicas', (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'),
    'invalid', (SELECT count(*) FROM pg_index WHERE NOT indisvalid),
    'validated', (SELECT convalidated FROM pg_constraint WHERE conname = 'shots_game_id_check'),
    'shots_pkey', pg_relation_size('shots_pkey'),
    'boxes', pg_relation_size('boxes'),
    'left', (SELECT coalesce(json_agg(nspname::text), '[]') FROM pg_namespace
              WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public', 'archive', 'courtkeeper', 'repack')));
