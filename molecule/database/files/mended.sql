SELECT json_build_object(
    'invalid', (SELECT count(*) FROM pg_index WHERE NOT indisvalid),
    'shots_pkey', pg_relation_size('shots_pkey'),
    'boxes', pg_relation_size('boxes'),
    'validated', (SELECT convalidated FROM pg_constraint WHERE conname = 'shots_game_id_check'),
    'late', (SELECT count(*) FROM archive.api_requests WHERE path LIKE '/late/%'),
    'aside', (SELECT count(*) FROM players_team_id_fkey_orphans));
