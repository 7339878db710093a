-- A payload that was judged settles every issue; a payload that could not be had settles only
-- whether it could be had.
UPDATE data_quality_issues
   SET closed_at = %(now)s
 WHERE game_id = %(game_id)s AND closed_at IS NULL AND issue_type <> ALL (%(still_open)s)
   AND (%(judged)s OR issue_type IN ('missing', 'not_fetched'))
RETURNING issue_type
