"""When which job runs on a system: the calendar under git, what it means, and what comes next.

- `model`: the shape of `courtkeeper_calendar`, as structs;
- `load`: `load(inventory, root) -> Loaded`, from an inventory's `calendar.yml`: `jobs` (resolved, and
  good), `problems` (sentences with file and line, all at once), `schedules`, `windows`, `blackouts` by name;
- `recurrence`: `Schedule(rule, zone, anchor)` with `between(start, end)` and `after(instant)`: the RRULE
  subset, its occurrences in UTC, and the rule for daylight saving time;
- `blackouts`: the times in which nothing begins, from iCalendar files;
- `plan`: `slots(loaded, start, end)`, lazily and in order over all jobs, and `obstacle(loaded, job, now)`:
  why a job may not begin now (window, blackout) and until when.
"""
