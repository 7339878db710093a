-- Makes the stored rows of one game equal to the staged ones: insert, update only what differs,
-- delete what the source withdrew. One statement, so all three see the same state.
WITH withdrawn AS (
    DELETE FROM play_events t
     WHERE t.season = %(season)s AND t.game_id = %(game_id)s
       AND NOT EXISTS (SELECT FROM staged_events s WHERE s.event_id = t.event_id)
    RETURNING 1
), corrected AS (
    UPDATE play_events t
       SET (sequence, period, clock_ms, event_type, sub_type, team_id, player_id, assist_player_id, steal_player_id,
            block_player_id, made, points, home_score, away_score, x, y, shot_distance_ft, description)
         = (s.sequence, s.period, s.clock_ms, s.event_type, s.sub_type, s.team_id, s.player_id, s.assist_player_id,
            s.steal_player_id, s.block_player_id, s.made, s.points, s.home_score, s.away_score, s.x,
            s.y, s.shot_distance_ft, s.description)
      FROM staged_events s
     WHERE t.season = %(season)s AND t.game_id = %(game_id)s AND s.event_id = t.event_id
       AND (t.sequence, t.period, t.clock_ms, t.event_type, t.sub_type, t.team_id, t.player_id, t.assist_player_id,
            t.steal_player_id, t.block_player_id, t.made, t.points, t.home_score, t.away_score, t.x,
            t.y, t.shot_distance_ft, t.description)
           IS DISTINCT FROM
           (s.sequence, s.period, s.clock_ms, s.event_type, s.sub_type, s.team_id, s.player_id, s.assist_player_id,
            s.steal_player_id, s.block_player_id, s.made, s.points, s.home_score, s.away_score, s.x,
            s.y, s.shot_distance_ft, s.description)
    RETURNING 1
), added AS (
    INSERT INTO play_events (season, game_id, event_id, sequence, period, clock_ms, event_type, sub_type, team_id, player_id,
            assist_player_id, steal_player_id, block_player_id, made, points, home_score, away_score, x,
            y, shot_distance_ft, description)
    SELECT s.season, s.game_id, s.event_id, s.sequence, s.period, s.clock_ms, s.event_type, s.sub_type, s.team_id,
           s.player_id, s.assist_player_id, s.steal_player_id, s.block_player_id, s.made, s.points,
           s.home_score, s.away_score, s.x, s.y, s.shot_distance_ft, s.description
      FROM staged_events s
     WHERE NOT EXISTS (SELECT FROM play_events t WHERE t.season = %(season)s AND t.game_id = %(game_id)s AND s.event_id = t.event_id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM added) AS inserted,
       (SELECT count(*) FROM corrected) AS updated,
       (SELECT count(*) FROM withdrawn) AS deleted
