"""cron, as Debian has it, for a machine whose own time zone is the schedules': it knows no other.

It ORs its two fields for days, and knows no days from the end of a month. A job at fixed times that clocks
skip runs when they change, beside what is due then, and a repeated one once; a job with `*` for its hours or
minutes follows the clock (crontab(5)).
"""

from __future__ import annotations

import shlex
from datetime import datetime

from courtkeeper.calendar.model import Job
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.export.clocks import Clock, Missing, demand_same
from courtkeeper.export.command import Place, gate, run
from courtkeeper.export.plain import Plain, numbers, plain
from courtkeeper.findings import ConfigurationError

NAME = "cron"
CARRIES = {"window", "blackouts", "after", "concurrency", "skip"}
FIXED = Clock(NAME, Missing.AT_CHANGE)
WILDCARD = Clock(NAME, Missing.SKIPPED, twice=True)


def compiled(schedule: Schedule, now: datetime) -> list[str]:
    """Return the five-field expressions that together are the schedule. Raises ConfigurationError."""
    found = fields(plain(schedule, now))
    for expression in found:
        minute, hour, *_ = expression.split()
        demand_same(schedule, WILDCARD if "*" in (minute, hour) else FIXED, now)
    return found


def fields(found: Plain) -> list[str]:
    """Return five-field expressions for days and times. Raises ConfigurationError."""
    from_start, from_end = found.month_day_numbers()
    if from_end:
        raise ConfigurationError("it has no word for days from the end of a month; use days from the start")
    if from_start and found.weekdays:
        raise ConfigurationError(
            "it takes days of the month or of the week, never both at once; say one of them"
        )
    month = numbers(found.months) or "*"
    weekday = numbers(sorted((day + 1) % 7 for day in found.weekdays)) or "*"  # Sunday is 0 there
    return [
        f"{numbers(minutes) if len(minutes) < 60 else '*'} {numbers(hours) if len(hours) < 24 else '*'} "
        f"{numbers(from_start) or '*'} {month} {weekday}"
        for hours, minutes in found.groups()
    ]


def lines(job: Job, schedule: Schedule, place: Place, now: datetime, zone: str) -> list[str]:
    """Return the lines of a user's crontab for a job. Raises ConfigurationError where it cannot be said."""
    if schedule.zone.key != zone:
        raise ConfigurationError(
            f"it is in {schedule.zone.key}, and this crontab is for machines in {zone}; "
            f"export it with --zone {schedule.zone.key} for such a machine"
        )
    steps = [["cd", place.directory], gate(job, place), run(job, place)]
    command = " && ".join(map(shlex.join, steps))
    if "\n" in command:
        raise ConfigurationError("its command holds a line break, which cannot stand in a crontab")
    # An unescaped % would end the command.
    return [f"{each} {command}".replace("%", "\\%") for each in compiled(schedule, now)]
