-- Returns a row only if the issue is new, was closed, or says something else now.
INSERT INTO data_quality_issues AS i (game_id, issue_type, severity, description, payloads, simulated, opened_at)
VALUES (%(game_id)s, %(issue_type)s, %(severity)s, %(description)s, %(payloads)s, %(simulated)s, %(now)s)
ON CONFLICT (game_id, issue_type) DO UPDATE
   SET severity = excluded.severity, description = excluded.description, payloads = excluded.payloads,
       simulated = excluded.simulated, closed_at = NULL,
       opened_at = CASE WHEN i.closed_at IS NULL THEN i.opened_at ELSE excluded.opened_at END
 WHERE i.closed_at IS NOT NULL
    OR (i.severity, i.description, i.simulated) IS DISTINCT FROM
       (excluded.severity, excluded.description, excluded.simulated)
RETURNING issue_type
