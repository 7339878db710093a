"""Which occurrences of a job are due, and which are missed already when they are noticed."""

from __future__ import annotations

from datetime import datetime, timedelta

from courtkeeper.calendar.model import Job, Misfire
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.store.slots import ON_TIME, Occurrence

MOST_AT_ONCE = 200  # a tick stays short also after a year of silence; the next one goes on
_ONE = timedelta(microseconds=1)
_FAR = timedelta(days=366 * 9)  # the 29th of February comes within


class Upcoming:
    """The occurrences of a schedule later than an instant, one after the other; `next` is None at the end.

    Kept from tick to tick: the first occurrence costs a millisecond to find, each after it next to nothing.
    """

    def __init__(self, schedule: Schedule, since: datetime) -> None:
        """Stand before the first one."""
        self._instants = schedule.between(since + _ONE, since + _FAR)
        self.next: datetime | None = next(self._instants, None)

    def take(self, now: datetime, most: int) -> list[datetime]:
        """Return those up to `now`, at most so many, and stand behind them."""
        taken: list[datetime] = []
        while self.next is not None and self.next <= now and len(taken) < most:
            taken.append(self.next)
            self.next = next(self._instants, None)
        return taken


def due(job: Job, upcoming: Upcoming, now: datetime) -> tuple[list[Occurrence], datetime]:
    """Return the occurrences up to `now`, at most MOST_AT_ONCE, and until when they are complete.

    Each has its deadline, or the reason why it is missed:
    - later than its grace, whatever the policy;
    - `skip`: noticed after its time, as nobody was there (what is noticed in time may wait for its grace);
    - `skip` and `latest`: a later one is due as well.
    """
    begun = upcoming.take(now, MOST_AT_ONCE)
    found = [
        Occurrence(at=at, deadline=at + job.grace, missed=_missed(job, at, after, now))
        for at, after in zip(begun, [*begun, upcoming.next][1:], strict=True)
    ]
    complete = upcoming.next is None or upcoming.next > now
    return found, now if complete else begun[-1]


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
