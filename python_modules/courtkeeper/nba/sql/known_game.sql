-- A Final game whose events the feed has not got (yet): known, but never over one that was loaded.
INSERT INTO games AS g (game_id, season, season_type, game_date, starts_at, status, home_team_id,
                        away_team_id, home_score, away_score, periods, arena, attendance, source, simulated)
VALUES (%(game_id)s, %(season)s, %(season_type)s, %(game_date)s, %(starts_at)s, %(status)s, %(home_team_id)s,
        %(away_team_id)s, %(home_score)s, %(away_score)s, %(periods)s, %(arena)s, %(attendance)s, %(source)s,
        %(simulated)s)
ON CONFLICT (game_id) DO UPDATE
   SET status = excluded.status, home_score = excluded.home_score, away_score = excluded.away_score
 WHERE g.loaded_at IS NULL
   AND (g.status, g.home_score, g.away_score)
       IS DISTINCT FROM (excluded.status, excluded.home_score, excluded.away_score)
RETURNING (xmax = 0) AS inserted
