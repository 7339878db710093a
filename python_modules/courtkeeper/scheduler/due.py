"""Which occurrences of a job are due, and which are missed already when they are noticed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, zip_longest

from courtkeeper.calendar.model import Job, Misfire
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.store.slots import ON_TIME, Occurrence

MOST_AT_ONCE = 200  # a tick stays short also after a year of silence; the next one goes on
_ONE = timedelta(microseconds=1)
_FAR = timedelta(days=366 * 9)  # the 29th of February comes within


@dataclass(frozen=True)
class Due:
    """Occurrences; until when they are complete; and the first later one that is not due yet, if known."""

    occurrences: list[Occurrence]
    until: datetime
    following: datetime | None


def due(job: Job, schedule: Schedule, since: datetime, now: datetime) -> Due:
    """Return the occurrences later than `since` and up to `now`, at most MOST_AT_ONCE.

    Each has its deadline, or the reason why it is missed:
    - later than its grace, whatever the policy;
    - `skip`: noticed after its time, as nobody was there (what is noticed in time may wait for its grace);
    - `skip` and `latest`: a later one is due as well.
    """
    instants = list(islice(_until(schedule.between(since + _ONE, now + _FAR), now), MOST_AT_ONCE + 1))
    begun = [at for at in instants[:MOST_AT_ONCE] if at <= now]
    following = instants[len(begun)] if len(instants) > len(begun) else None
    found = [
        Occurrence(at=at, deadline=at + job.grace, missed=_missed(job, at, after, now))
        for at, after in zip_longest(begun, instants[1 : len(begun) + 1])
    ]
    complete = following is None or following > now
    return Due(found, now if complete else begun[-1], following)


def _until(instants: Iterable[datetime], now: datetime) -> Iterator[datetime]:
    """Yield instants up to the first one later than `now`, that one too."""
    for at in instants:
        yield at
        if at > now:
            return


def _missed(job: Job, at: datetime, following: datetime | None, now: datetime) -> str:
    late = now - at
    if late > job.grace:
        return f"noticed {_span(late)} late, its grace is {_span(job.grace)}: no scheduler was running"
    if job.misfire_policy is Misfire.SKIP and late > ON_TIME:
        return f"noticed {_span(late)} late and not made up for (misfire: skip): no scheduler was running"
    if following is not None and following <= now and job.misfire_policy is not Misfire.ALL:
        return f"the slot of {following:%Y-%m-%d %H:%M} UTC took its place (misfire: {job.misfire_policy})"
    return ""


def _span(length: timedelta) -> str:
    minutes = round(length.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes / 60:.1f} h"
    return f"{minutes / 60 / 24:.1f} days"
