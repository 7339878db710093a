-- Makes the stored rows of one game equal to the staged ones: insert, update only what differs,
-- delete what the source withdrew. One statement, so all three see the same state.
WITH withdrawn AS (
    DELETE FROM player_game_stats t
     WHERE t.game_id = %(game_id)s
       AND NOT EXISTS (SELECT FROM staged_player_stats s WHERE s.player_id = t.player_id)
    RETURNING 1
), corrected AS (
    UPDATE player_game_stats t
       SET (team_id, starter, played, seconds, points, fgm, fga, fg3m, fg3a, ftm, fta, rebounds, assists, steals,
            blocks, turnovers, fouls)
         = (s.team_id, s.starter, s.played, s.seconds, s.points, s.fgm, s.fga, s.fg3m, s.fg3a, s.ftm, s.fta,
            s.rebounds, s.assists, s.steals, s.blocks, s.turnovers, s.fouls)
      FROM staged_player_stats s
     WHERE t.game_id = %(game_id)s AND s.player_id = t.player_id
       AND (t.team_id, t.starter, t.played, t.seconds, t.points, t.fgm, t.fga, t.fg3m, t.fg3a, t.ftm, t.fta,
            t.rebounds, t.assists, t.steals, t.blocks, t.turnovers, t.fouls)
           IS DISTINCT FROM
           (s.team_id, s.starter, s.played, s.seconds, s.points, s.fgm, s.fga, s.fg3m, s.fg3a, s.ftm, s.fta,
            s.rebounds, s.assists, s.steals, s.blocks, s.turnovers, s.fouls)
    RETURNING 1
), added AS (
    INSERT INTO player_game_stats (game_id, player_id, team_id, starter, played, seconds, points, fgm, fga, fg3m, fg3a, ftm, fta, rebounds,
            assists, steals, blocks, turnovers, fouls)
    SELECT s.game_id, s.player_id, s.team_id, s.starter, s.played, s.seconds, s.points, s.fgm, s.fga, s.fg3m,
           s.fg3a, s.ftm, s.fta, s.rebounds, s.assists, s.steals, s.blocks, s.turnovers, s.fouls
      FROM staged_player_stats s
     WHERE NOT EXISTS (SELECT FROM player_game_stats t WHERE t.game_id = %(game_id)s AND s.player_id = t.player_id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM added) AS inserted,
       (SELECT count(*) FROM corrected) AS updated,
       (SELECT count(*) FROM withdrawn) AS deleted
