INSERT INTO cache_outbox (game_id, game_date, created_at)
SELECT game_id, game_date, %(now)s
  FROM games
 WHERE home_team_id = ANY (%(ids)s) OR away_team_id = ANY (%(ids)s)
