"""The calendar for other engines: systemd, cron, Kubernetes, iCalendar, AWX.

A schedule is compiled to what an engine says *exactly*, occurrence by occurrence and across changes of
clocks, or it is refused with the reason. What else holds for a job (its window, blackouts, retries …) is
either said too or named as left out; a disruptive job whose guards an engine cannot keep is refused.

- `plain`: a schedule as days and times of day, for engines that count no intervals;
- `clocks`: what each engine does when clocks change, and where that differs from our rule;
- `systemd`, `cron`, `kubernetes`, `ics`, `awx`: one engine each;
- `exporting`: the whole calendar for one of them.
"""
