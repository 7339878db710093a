-- The play-by-play of one game in order, as one JSON text; no row if the game is unknown.
SELECT json_build_object(
           'game_id', g.game_id,
           'simulated', g.simulated,
           'events', coalesce((
               SELECT json_agg(json_build_object(
                          'event_id', e.event_id,
                          'period', e.period,
                          'clock_ms', e.clock_ms,
                          'event_type', e.event_type,
                          'sub_type', e.sub_type,
                          'team_id', e.team_id,
                          'player_id', e.player_id,
                          'assist_player_id', e.assist_player_id,
                          'steal_player_id', e.steal_player_id,
                          'block_player_id', e.block_player_id,
                          'made', e.made,
                          'points', e.points,
                          'home_score', e.home_score,
                          'away_score', e.away_score,
                          'x', e.x,
                          'y', e.y,
                          'shot_distance_ft', e.shot_distance_ft,
                          'description', e.description
                      ) ORDER BY e.sequence, e.event_id)
                 FROM play_events e
                WHERE e.season = g.season AND e.game_id = g.game_id), '[]')
       )::text AS body
  FROM games g
 WHERE g.game_id = %(game_id)s
