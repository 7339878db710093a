-- The games of one day (US Eastern), as one JSON text.
SELECT json_build_object(
           'date', %(date)s::date,
           'simulated', coalesce(bool_or(g.simulated), false),
           'games', coalesce(json_agg(json_build_object(
               'game_id', g.game_id,
               'season', g.season,
               'season_type', g.season_type,
               'game_date', g.game_date,
               'starts_at', g.starts_at,
               'status', g.status,
               'away', away.tricode,
               'home', home.tricode,
               'away_score', g.away_score,
               'home_score', g.home_score,
               'simulated', g.simulated
           ) ORDER BY g.starts_at, g.game_id) FILTER (WHERE g.game_id IS NOT NULL), '[]')
       )::text AS body
  FROM games g
  JOIN teams away ON away.team_id = g.away_team_id
  JOIN teams home ON home.team_id = g.home_team_id
 WHERE g.game_date = %(date)s
