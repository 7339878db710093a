UPDATE data_quality_issues
   SET closed_at = %(now)s
 WHERE game_id = %(game_id)s AND closed_at IS NULL AND issue_type <> ALL (%(still_open)s)
RETURNING issue_type
