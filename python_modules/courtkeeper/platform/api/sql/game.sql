-- One game, as one JSON text; no row if it is unknown.
SELECT json_build_object(
           'game_id', g.game_id,
           'season', g.season,
           'season_type', g.season_type,
           'game_date', g.game_date,
           'starts_at', g.starts_at,
           'status', g.status,
           'away', json_build_object('team_id', away.team_id, 'tricode', away.tricode, 'city', away.city,
                                     'name', away.name, 'score', g.away_score),
           'home', json_build_object('team_id', home.team_id, 'tricode', home.tricode, 'city', home.city,
                                     'name', home.name, 'score', g.home_score),
           'periods', g.periods,
           'arena', g.arena,
           'attendance', g.attendance,
           'source', g.source,
           'simulated', g.simulated,
           'loaded_at', g.loaded_at
       )::text AS body
  FROM games g
  JOIN teams away ON away.team_id = g.away_team_id
  JOIN teams home ON home.team_id = g.home_team_id
 WHERE g.game_id = %(game_id)s
