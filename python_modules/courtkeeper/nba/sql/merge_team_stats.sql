-- Makes the stored rows of one game equal to the staged ones: insert, update only what differs,
-- delete what the source withdrew. One statement, so all three see the same state.
WITH withdrawn AS (
    DELETE FROM team_game_stats t
     WHERE t.game_id = %(game_id)s
       AND NOT EXISTS (SELECT FROM staged_team_stats s WHERE s.team_id = t.team_id)
    RETURNING 1
), corrected AS (
    UPDATE team_game_stats t
       SET (points, fgm, fga, fg3m, fg3a, ftm, fta, rebounds, assists, steals, blocks)
         = (s.points, s.fgm, s.fga, s.fg3m, s.fg3a, s.ftm, s.fta, s.rebounds, s.assists, s.steals, s.blocks)
      FROM staged_team_stats s
     WHERE t.game_id = %(game_id)s AND s.team_id = t.team_id
       AND (t.points, t.fgm, t.fga, t.fg3m, t.fg3a, t.ftm, t.fta, t.rebounds, t.assists, t.steals, t.blocks)
           IS DISTINCT FROM
           (s.points, s.fgm, s.fga, s.fg3m, s.fg3a, s.ftm, s.fta, s.rebounds, s.assists, s.steals, s.blocks)
    RETURNING 1
), added AS (
    INSERT INTO team_game_stats (game_id, team_id, points, fgm, fga, fg3m, fg3a, ftm, fta, rebounds, assists, steals, blocks)
    SELECT s.game_id, s.team_id, s.points, s.fgm, s.fga, s.fg3m, s.fg3a, s.ftm, s.fta, s.rebounds, s.assists,
           s.steals, s.blocks
      FROM staged_team_stats s
     WHERE NOT EXISTS (SELECT FROM team_game_stats t WHERE t.game_id = %(game_id)s AND s.team_id = t.team_id)
    RETURNING 1
)
SELECT (SELECT count(*) FROM added) AS inserted,
       (SELECT count(*) FROM corrected) AS updated,
       (SELECT count(*) FROM withdrawn) AS deleted
