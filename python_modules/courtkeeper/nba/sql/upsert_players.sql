-- As for teams; a person known from an event only (named_on -infinity) yields to any box score.
INSERT INTO players AS p (player_id, display_name, first_name, family_name, named_on)
SELECT player_id, display_name, nullif(first_name, ''), nullif(family_name, ''), named_on
  FROM unnest(%(ids)s::bigint[], %(names)s::text[], %(first_names)s::text[], %(family_names)s::text[],
              %(named_on)s::date[]) AS new (player_id, display_name, first_name, family_name, named_on)
ON CONFLICT (player_id) DO UPDATE
   SET display_name = excluded.display_name, first_name = excluded.first_name,
       family_name = excluded.family_name, named_on = excluded.named_on
 WHERE excluded.named_on > p.named_on
