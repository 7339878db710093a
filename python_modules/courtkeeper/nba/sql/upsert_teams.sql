-- A name follows the newest game that carries it, so that loading an old season renames nobody.
-- Returns the ids of those whose name changed.
WITH given (team_id, city, name, tricode, named_on) AS (
    SELECT *, %(named_on)s::date
      FROM unnest(%(ids)s::bigint[], %(cities)s::text[], %(names)s::text[], %(tricodes)s::text[])
), renamed AS (
    SELECT t.team_id
      FROM teams t JOIN given g USING (team_id)
     WHERE g.named_on >= t.named_on
       AND (t.city, t.name, t.tricode) IS DISTINCT FROM (g.city, g.name, g.tricode)
), stored AS (
    INSERT INTO teams AS t (team_id, city, name, tricode, named_on)
    SELECT team_id, city, name, tricode, named_on FROM given
    ON CONFLICT (team_id) DO UPDATE
       SET city = excluded.city, name = excluded.name, tricode = excluded.tricode,
           named_on = excluded.named_on
     WHERE excluded.named_on > t.named_on
        OR (excluded.named_on = t.named_on AND (t.city, t.name, t.tricode)
            IS DISTINCT FROM (excluded.city, excluded.name, excluded.tricode))
)
SELECT team_id FROM renamed
