-- Who may do what. Run after every migration: a GRANT that stands already changes nothing.
-- Access to a partition of play_events goes through its parent, so new seasons need no grant.

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO courtkeeper, platform_api;

GRANT SELECT, INSERT, UPDATE, DELETE
   ON teams, players, games, play_events, player_game_stats, team_game_stats,
      data_quality_issues, refresh_runs, cache_outbox
   TO courtkeeper;
GRANT SELECT ON alembic_version TO courtkeeper, platform_api; -- "a schema too old" is said before anything is tried
GRANT EXECUTE ON FUNCTION ensure_season_partition(smallint), verify_data_integrity() TO courtkeeper;

GRANT SELECT
   ON teams, players, games, play_events, player_game_stats, team_game_stats,
      data_quality_issues, refresh_runs
   TO platform_api;
GRANT SELECT, INSERT, UPDATE, DELETE
   ON users, login_attempts, api_keys, api_requests, audit_log, jobs
   TO platform_api;
