-- The box score of one game, teams and players, as one JSON text; no row if the game is unknown.
SELECT json_build_object(
           'game_id', g.game_id,
           'simulated', g.simulated,
           'teams', coalesce((
               SELECT json_agg(json_build_object(
                          'team_id', s.team_id, 'tricode', t.tricode, 'points', s.points,
                          'fgm', s.fgm, 'fga', s.fga, 'fg3m', s.fg3m, 'fg3a', s.fg3a, 'ftm', s.ftm, 'fta', s.fta,
                          'rebounds', s.rebounds, 'assists', s.assists, 'steals', s.steals, 'blocks', s.blocks
                      ) ORDER BY (s.team_id = g.home_team_id), s.team_id)
                 FROM team_game_stats s JOIN teams t USING (team_id)
                WHERE s.game_id = g.game_id), '[]'),
           'players', coalesce((
               SELECT json_agg(json_build_object(
                          'player_id', s.player_id, 'name', p.display_name, 'team_id', s.team_id,
                          'starter', s.starter, 'played', s.played, 'seconds', s.seconds, 'points', s.points,
                          'fgm', s.fgm, 'fga', s.fga, 'fg3m', s.fg3m, 'fg3a', s.fg3a, 'ftm', s.ftm, 'fta', s.fta,
                          'rebounds', s.rebounds, 'assists', s.assists, 'steals', s.steals, 'blocks', s.blocks,
                          'turnovers', s.turnovers, 'fouls', s.fouls
                      ) ORDER BY (s.team_id = g.home_team_id), s.starter DESC, s.seconds DESC NULLS LAST,
                                 s.player_id)
                 FROM player_game_stats s JOIN players p USING (player_id)
                WHERE s.game_id = g.game_id), '[]')
       )::text AS body
  FROM games g
 WHERE g.game_id = %(game_id)s
