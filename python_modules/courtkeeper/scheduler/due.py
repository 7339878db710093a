"""Which occurrences of a job are due, and which are missed already when they are noticed."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import zip_longest

from courtkeeper.calendar.model import Job, Misfire
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.store.slots import ON_TIME, Occurrence

MOST_AT_ONCE = 200  # a tick stays short also after a year of silence; the next one goes on
_ONE = timedelta(microseconds=1)


def due(job: Job, schedule: Schedule, since: datetime, now: datetime) -> tuple[list[Occurrence], datetime]:
    """Return the occurrences later than `since` and up to `now`, and until when they are complete.

    At most MOST_AT_ONCE. Each has its deadline, or the reason why it is missed:
    - later than its grace, whatever the policy;
    - `skip`: noticed after its time, as nobody was there (what is noticed in time may wait for its grace);
    - `skip` and `latest`: a later one is due as well.
    """
    instants: list[datetime] = []
    complete = now
    for at in schedule.between(since + _ONE, now + _ONE):
        if len(instants) > MOST_AT_ONCE:
            break
        instants.append(at)
    if len(instants) > MOST_AT_ONCE:
        complete = instants[MOST_AT_ONCE - 1]
    found = [
        Occurrence(at=at, deadline=at + job.grace, missed=_missed(job, at, after, now))
        for at, after in zip_longest(instants, instants[1:])
    ]
    return found[:MOST_AT_ONCE], complete


def _missed(job: Job, at: datetime, following: datetime | None, now: datetime) -> str:
    late = now - at
    if late > job.grace:
        return f"noticed {_span(late)} late, its grace is {_span(job.grace)}: no scheduler was running"
    if job.misfire_policy is Misfire.SKIP and late > ON_TIME:
        return f"noticed {_span(late)} late and not made up for (misfire: skip): no scheduler was running"
    if following is not None and job.misfire_policy is not Misfire.ALL:
        return f"the slot of {following:%Y-%m-%d %H:%M} UTC took its place (misfire: {job.misfire_policy})"
    return ""


def _span(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes / 60:.1f} h"
    return f"{minutes / 60 / 24:.1f} days"
