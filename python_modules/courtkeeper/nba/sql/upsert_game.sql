-- Returns a row only if the game was new or differs.
INSERT INTO games AS g (game_id, season, season_type, game_date, starts_at, status, home_team_id,
                        away_team_id, home_score, away_score, periods, arena, attendance, source, simulated)
VALUES (%(game_id)s, %(season)s, %(season_type)s, %(game_date)s, %(starts_at)s, %(status)s, %(home_team_id)s,
        %(away_team_id)s, %(home_score)s, %(away_score)s, %(periods)s, %(arena)s, %(attendance)s, %(source)s,
        %(simulated)s)
ON CONFLICT (game_id) DO UPDATE
   SET game_date = excluded.game_date, starts_at = excluded.starts_at, status = excluded.status,
       home_team_id = excluded.home_team_id, away_team_id = excluded.away_team_id,
       home_score = excluded.home_score, away_score = excluded.away_score, periods = excluded.periods,
       arena = excluded.arena, attendance = excluded.attendance, source = excluded.source,
       simulated = excluded.simulated
 WHERE (g.game_date, g.starts_at, g.status, g.home_team_id, g.away_team_id, g.home_score, g.away_score,
        g.periods, g.arena, g.attendance, g.source, g.simulated)
       IS DISTINCT FROM
       (excluded.game_date, excluded.starts_at, excluded.status, excluded.home_team_id,
        excluded.away_team_id, excluded.home_score, excluded.away_score, excluded.periods, excluded.arena,
        excluded.attendance, excluded.source, excluded.simulated)
RETURNING (xmax = 0) AS inserted
