-- As for teams; a person known from an event only (named_on -infinity) yields to any box score
-- and never changes a name. Returns the ids of those whose name changed.
WITH given (player_id, display_name, first_name, family_name, named_on) AS (
    SELECT player_id, display_name, nullif(first_name, ''), nullif(family_name, ''), named_on
      FROM unnest(%(ids)s::bigint[], %(names)s::text[], %(first_names)s::text[], %(family_names)s::text[],
                  %(named_on)s::date[]) AS raw (player_id, display_name, first_name, family_name, named_on)
), renamed AS (
    SELECT p.player_id
      FROM players p JOIN given g USING (player_id)
     WHERE g.named_on >= p.named_on AND g.named_on > '-infinity'
       AND (p.display_name, p.first_name, p.family_name)
           IS DISTINCT FROM (g.display_name, g.first_name, g.family_name)
), stored AS (
    INSERT INTO players AS p (player_id, display_name, first_name, family_name, named_on)
    SELECT player_id, display_name, first_name, family_name, named_on FROM given
    ON CONFLICT (player_id) DO UPDATE
       SET display_name = excluded.display_name, first_name = excluded.first_name,
           family_name = excluded.family_name, named_on = excluded.named_on
     WHERE excluded.named_on > p.named_on
        OR (excluded.named_on = p.named_on AND excluded.named_on > '-infinity'
            AND (p.display_name, p.first_name, p.family_name)
                IS DISTINCT FROM (excluded.display_name, excluded.first_name, excluded.family_name))
)
SELECT player_id FROM renamed
