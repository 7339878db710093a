"""When a schedule comes: its occurrences, lazily, as instants in UTC, by one rule for daylight saving time.

The rule (reference: libraries disagree, so it is ours and tested): a local time that does not exist, because
clocks are put forward over it, comes at the next valid instant, which is the one at which they are put
forward; a local time that comes twice, because clocks are put back, comes once, the first time. Two times of
a schedule that fall together this way come once. It holds for every frequency: an hourly job in local time
leaves the repeated hour out. What must come every hour on end is scheduled in UTC.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from courtkeeper.calendar.rule import Frequency, Rule
from courtkeeper.findings import ConfigurationError

# A schedule that has not come for so long never does: 29 February on a certain day of the week comes every
# 28 years, and 40 around a century that is no leap year.
HORIZON = timedelta(days=50 * 366)
_FIRST_YEAR, _LAST_YEAR = 2, 9990
_MINUTES = 24 * 60
# Local times are at most a day and a bit from UTC: Samoa once left out a day.
_FAR = timedelta(days=2)


class Irregular(StrEnum):
    """What daylight saving time does to a local time."""

    MISSING = "missing"
    REPEATED = "repeated"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time a schedule comes: the local time it names, the instant (UTC), and what is odd about it."""

    local: datetime
    instant: datetime
    irregular: Irregular | None = None


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of that name. Raises ConfigurationError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, UnicodeError):
        raise ConfigurationError(
            f"{name[:60]!r} is not a time zone: give a name as Europe/London, America/New_York or UTC"
        ) from None


def instant_of(local: datetime, zone: ZoneInfo) -> Occurrence:
    """Return the instant of the naive time `local` in `zone`, by the rule above."""
    first = local.replace(tzinfo=zone, fold=0)
    second = local.replace(tzinfo=zone, fold=1)
    instant = first.astimezone(UTC)
    if first.utcoffset() == second.utcoffset():
        return Occurrence(local, instant)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return Occurrence(local, instant, Irregular.REPEATED)
    # In a gap the later offset gives an instant before the change, the earlier offset one at or after it.
    return Occurrence(local, _change(second.astimezone(UTC), instant, zone), Irregular.MISSING)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant after `before`, to the second, that has the offset of `after`."""
    new = after.astimezone(zone).utcoffset()
    low, high = 0, round((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == new:
            high = middle
        else:
            low = middle
    return before + timedelta(seconds=high)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rule in a zone's local time, counted from `anchor` where it has an interval.

    Raises ConfigurationError where the rule needs an anchor and has none.
    """

    rule: Rule
    zone: ZoneInfo
    anchor: date | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that means nothing definite."""
        if self.anchor is None and self.rule.needs_anchor:
            raise ConfigurationError(
                f"INTERVAL={self.rule.interval} needs an anchor: the day from which it is counted"
            )

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """Yield the instants, in UTC and ascending, from `start` on and before `end`; both must be aware."""
        for occurrence in self.occurrences(start, end):
            yield occurrence.instant

    def after(self, instant: datetime) -> datetime | None:
        """Return the first occurrence later than `instant`; None if there is none within 50 years."""
        start = instant.astimezone(UTC) + timedelta(microseconds=1)
        return next(self.between(start, start + min(HORIZON, _END - start)), None) if start < _END else None

    def occurrences(self, start: datetime, end: datetime) -> Iterator[Occurrence]:
        """Yield what `between` does, with the local times; no two have the same instant."""
        start, end = max(start.astimezone(UTC), _START), min(end.astimezone(UTC), _END)
        last: datetime | None = None
        earliest = self._earliest(start)
        for local in self.local_times(earliest.date(), (end + _FAR).date()):
            if local < earliest:
                continue
            occurrence = instant_of(local, self.zone)
            if occurrence.instant >= end:
                return
            if occurrence.instant < start or (last is not None and occurrence.instant <= last):
                continue
            last = occurrence.instant
            yield occurrence

    def _earliest(self, start: datetime) -> datetime:
        """Return a local time before which nothing comes at `start` or later."""
        local = start.astimezone(self.zone)
        before = (start - _FAR).astimezone(self.zone)
        # Without a change the day before, local times run as instants do.
        slack = timedelta() if before.utcoffset() == local.utcoffset() else _FAR
        return local.replace(tzinfo=None) - slack

    def irregular(self, start: datetime, end: datetime) -> Iterator[Occurrence]:
        """Yield the occurrences that daylight saving time moves or would double, from `start` to `end`.

        Asks each change of the zone's offset rather than each occurrence, so that ten years cost little.
        """
        for low, high in changes(self.zone, start.astimezone(UTC), end.astimezone(UTC)):
            for occurrence in self.occurrences(low - timedelta(days=1), high + timedelta(days=1)):
                if occurrence.irregular is not None:
                    yield occurrence

    def local_times(self, first: date, last: date) -> Iterator[datetime]:
        """Yield the naive local times of the rule from the day `first` on, ascending, past the day `last`."""
        first = max(first, self.anchor) if self.anchor else first
        year, month = first.year, first.month
        while (year, month) <= (last.year, last.month):
            for day in self._days(year, month):
                if day >= first:
                    midnight = datetime.combine(day, time())
                    for minute in self._minutes(day):
                        yield midnight + timedelta(minutes=minute)
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)

    def _days(self, year: int, month: int) -> list[date]:
        """Return the days of a month on which the rule comes, ascending."""
        rule = self.rule
        if (rule.months and month not in rule.months) or not self._month_counts(year, month):
            return []
        length = monthrange(year, month)[1]
        wanted = {number if number > 0 else length + 1 + number for number in rule.month_days}
        numbers = sorted(wanted & set(range(1, length + 1))) if wanted else range(1, length + 1)
        days = [day for number in numbers if self._day_counts(day := date(year, month, number))]
        if not rule.positions:
            return days
        chosen = {at - 1 if at > 0 else len(days) + at for at in rule.positions}
        return [day for at, day in enumerate(days) if at in chosen]

    def _month_counts(self, year: int, month: int) -> bool:
        if self.anchor is None or self.rule.interval == 1:
            return True
        if self.rule.freq is Frequency.YEARLY:
            return (year - self.anchor.year) % self.rule.interval == 0
        if self.rule.freq is Frequency.MONTHLY:
            passed = (year - self.anchor.year) * 12 + month - self.anchor.month
            return passed % self.rule.interval == 0
        return True

    def _day_counts(self, day: date) -> bool:
        rule = self.rule
        if rule.weekdays and day.weekday() not in rule.weekdays:
            return False
        if self.anchor is None or rule.interval == 1:
            return True
        if rule.freq is Frequency.DAILY:
            return (day - self.anchor).days % rule.interval == 0
        if rule.freq is Frequency.WEEKLY:
            monday = self.anchor.toordinal() - self.anchor.weekday()
            return (day.toordinal() - monday) // 7 % rule.interval == 0
        return True

    def _minutes(self, day: date) -> Iterator[int]:
        """Yield the minutes of the day at which the rule comes, ascending."""
        rule, passed = self.rule, (day - self.anchor).days if self.anchor else 0
        if rule.freq is Frequency.MINUTELY:
            for minute in range(-passed * _MINUTES % rule.interval, _MINUTES, rule.interval):
                if not rule.hours or minute // 60 in rule.hours:
                    yield minute
            return
        every = rule.interval if rule.freq is Frequency.HOURLY else 1
        for hour in range(-passed * 24 % every, 24, every):
            if not rule.hours or hour in rule.hours:
                for minute in rule.minutes:
                    yield hour * 60 + minute


_START = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)
_END = datetime(_LAST_YEAR, 1, 1, tzinfo=UTC)
# Offsets change for longer than this: the shortest daylight saving time on record, in a year of Morocco's
# Ramadan, was of weeks.
_STEP = timedelta(days=7)


def changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the spans, of an hour or less, in which the zone's offset changes."""
    steps = range((end - start) // _STEP + 1)
    points = [min(start + _STEP * (number + 1), end) for number in steps]
    for low, high in pairwise([start, *points]):
        if low.astimezone(zone).utcoffset() != high.astimezone(zone).utcoffset():
            while high - low > timedelta(hours=1):
                middle = low + (high - low) / 2
                changed = middle.astimezone(zone).utcoffset() != low.astimezone(zone).utcoffset()
                low, high = (low, middle) if changed else (middle, high)
            yield low, high
