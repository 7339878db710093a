"""What engines do when clocks change, and where that is not what our rule says.

The behaviours are the engines' own, as measured or as their sources say (docs/calendar.md has the table);
the tests compare with the engines themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from courtkeeper.calendar.recurrence import Irregular, Schedule, changes, instant_of
from courtkeeper.findings import ConfigurationError

YEARS = 10
_DAY = timedelta(days=1)


class Missing(StrEnum):
    """What becomes of a local time that does not exist."""

    SKIPPED = "leaves it out"
    AT_CHANGE = "runs it when clocks change, beside whatever is due then"


@dataclass(frozen=True, slots=True)
class Clock:
    """What an engine does with a missing time, and whether it runs a repeated one twice."""

    engine: str
    missing: Missing
    twice: bool = False

    def instants(self, local: datetime, schedule: Schedule) -> Iterator[datetime]:
        """Yield when the engine runs what is due at the naive time `local`."""
        ours = instant_of(local, schedule.zone)
        if ours.irregular is not Irregular.MISSING:
            yield ours.instant
            if ours.irregular is Irregular.REPEATED and self.twice:
                yield local.replace(tzinfo=schedule.zone, fold=1).astimezone(UTC)
        elif self.missing is Missing.AT_CHANGE:
            yield ours.instant


def demand_same(schedule: Schedule, clock: Clock, start: datetime) -> None:
    """Raise ConfigurationError where in the ten years from `start` the engine would run at other instants."""
    for low, high in changes(schedule.zone, start, start + timedelta(days=366 * YEARS)):
        begin, end = low - _DAY, high + _DAY
        ours = list(schedule.between(begin, end))
        local = schedule.local_times((begin - 2 * _DAY).date(), (end + 2 * _DAY).date())
        theirs = sorted(
            instant for each in local for instant in clock.instants(each, schedule) if begin <= instant < end
        )
        if ours != theirs:
            raise ConfigurationError(_difference(schedule, clock, ours, theirs))


def _difference(schedule: Schedule, clock: Clock, ours: list[datetime], theirs: list[datetime]) -> str:
    odd = sorted(set(ours) ^ set(theirs)) or [each for each in theirs if theirs.count(each) > 1]
    day = odd[0].astimezone(schedule.zone)
    missing = odd[0] in ours or len(theirs) > len(set(theirs))
    what = (
        f"a time that does not exist: {clock.engine} {clock.missing}"
        if missing
        else f"a time that comes twice: {clock.engine} runs it twice"
    )
    return (
        f"on {day:%d %B %Y} clocks change in {schedule.zone.key} and it has {what}; "
        "move it to another hour, or say time_zone: UTC"
    )
