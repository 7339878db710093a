"""iCalendar, for people: the jobs as recurring events that any calendar program shows.

A time of a rule that does not exist is left out there (RFC 5545, 3.3.10), and one that comes twice is the
first (3.3.5).
"""

from __future__ import annotations

from datetime import UTC, datetime

from courtkeeper.calendar.model import Job
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.export.clocks import Clock, Missing, demand_same
from courtkeeper.export.command import Place
from courtkeeper.export.recurring import EPOCH, recurring

NAME = "a calendar program"
# It starts nothing, so that there is nothing to keep.
CARRIES = {
    "window",
    "blackouts",
    "timeout",
    "skip",
    "latest",
    "all",
    "after",
    "approval",
    "retries",
    "concurrency",
}
CLOCK = Clock(NAME, Missing.SKIPPED)


def compiled(schedule: Schedule, now: datetime) -> list[str]:
    """Return one text, `DTSTART…` and `RRULE:…` on two lines. Raises ConfigurationError."""
    first, rule = recurring(schedule, now)
    demand_same(schedule, CLOCK, now)
    if schedule.zone.key == "UTC":
        return [f"DTSTART:{first:%Y%m%dT%H%M%SZ}\nRRULE:{rule}"]
    return [f"DTSTART;TZID={schedule.zone.key}:{first:%Y%m%dT%H%M%S}\nRRULE:{rule}"]


def document(jobs: list[tuple[Job, Schedule]], place: Place, now: datetime) -> str:
    """Return the iCalendar file of jobs that `compiled` takes."""
    from icalendar import Calendar, Event, vRecur

    calendar = Calendar()
    calendar.add("prodid", "-//courtkeeper//calendar//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"Courtkeeper: {place.system}")
    for job, schedule in jobs:
        first, rule = recurring(schedule, now)
        event = Event()
        event.add("uid", f"{job.name}@{place.system}.courtkeeper")
        event.add("dtstamp", datetime(EPOCH.year, EPOCH.month, EPOCH.day, tzinfo=UTC))
        event.add("dtstart", first.replace(tzinfo=schedule.zone))
        event.add("rrule", vRecur.from_ical(str(rule)))
        event.add("summary", job.name)
        event.add("description", _about(job))
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    calendar.add_missing_timezones()
    return str(calendar.to_ical().decode())


def _about(job: Job) -> str:
    lines = [job.description, f"Owner: {job.owner}" if job.owner else ""]
    lines += ["Disruptive." if job.disruptive else "", f"Within {job.window}." if job.window else ""]
    lines += [f"After {each.job} has passed within {each.within_hours:g} h." for each in job.after]
    return "\n".join(filter(None, lines))
