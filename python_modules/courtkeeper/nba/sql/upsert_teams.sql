-- A name follows the newest game that carries it, so that loading an old season renames nobody.
INSERT INTO teams AS t (team_id, city, name, tricode, named_on)
SELECT * FROM unnest(%(ids)s::bigint[], %(cities)s::text[], %(names)s::text[], %(tricodes)s::text[],
                     array_fill(%(named_on)s::date, ARRAY[cardinality(%(ids)s::bigint[])]))
ON CONFLICT (team_id) DO UPDATE
   SET city = excluded.city, name = excluded.name, tricode = excluded.tricode, named_on = excluded.named_on
 WHERE excluded.named_on > t.named_on
