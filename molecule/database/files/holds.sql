SELECT json_build_object(
    'version', current_setting('server_version_num')::int / 10000 || '',
    'requests', (SELECT count(*) FROM api_requests),
    'archived', (SELECT count(*) FROM archive.api_requests),
    'replicas', (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'));
