-- The settings that advice is given on, as they are in use (in their own unit) and as the files would have
-- them at the next start. A role that may not read the files sees none of the latter.
SELECT s.name, s.setting, coalesce(s.unit, '') AS unit, s.context, s.source,
       s.pending_restart
  FROM pg_settings s
 WHERE s.name = ANY (:names)
 ORDER BY s.name
