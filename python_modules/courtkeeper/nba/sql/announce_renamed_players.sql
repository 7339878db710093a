INSERT INTO cache_outbox (game_id, game_date, created_at)
SELECT g.game_id, g.game_date, %(now)s
  FROM games g
 WHERE g.game_id IN (
       SELECT s.game_id FROM player_game_stats s WHERE s.player_id = ANY (%(ids)s)
       UNION
       SELECT e.game_id FROM play_events e WHERE e.player_id = ANY (%(ids)s))
