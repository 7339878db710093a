-- How fresh the data are: the last refresh that finished, the newest final game, the open issues, and how
-- the newest refresh ended.
SELECT (SELECT max(finished_at) FROM refresh_runs WHERE status = 'finished') AS last_refresh,
       (SELECT max(game_date) FROM games WHERE status = 'final' AND loaded_at IS NOT NULL) AS newest_final_game,
       (SELECT count(*) FROM data_quality_issues WHERE closed_at IS NULL AND severity = 'warn') AS open_warn,
       (SELECT count(*) FROM data_quality_issues WHERE closed_at IS NULL AND severity = 'crit') AS open_crit,
       (SELECT status FROM refresh_runs WHERE status <> 'running' ORDER BY started_at DESC LIMIT 1) AS newest_run
