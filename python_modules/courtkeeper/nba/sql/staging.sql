-- Session-local copies of what a game's payload says; emptied by every commit.
CREATE TEMP TABLE IF NOT EXISTS staged_events
    (LIKE play_events INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_player_stats
    (LIKE player_game_stats INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_team_stats
    (LIKE team_game_stats INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
