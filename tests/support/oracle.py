"""An oracle for recurrences that shares nothing with ours: dateutil's rules, instants from a table."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate

from dateutil import tz
from dateutil.rrule import rrule, rrulestr
from hypothesis import strategies as st

ZONES = ("America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC")
TEN_YEARS = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC))
_DAY, _HALF_HOUR = timedelta(days=1), timedelta(minutes=30)  # offsets change on the half hour in these zones


@cache
def _blocks(zone: str) -> tuple[list[datetime], list[timedelta], list[datetime]]:
    """Spans of one offset: when each begins, its offset, and the latest local time reached by its end."""
    where = tz.gettz(zone)
    first, last = TEN_YEARS[0] - 10 * _DAY, TEN_YEARS[1] + 10 * _DAY
    days = [first + _DAY * number for number in range((last - first) // _DAY)]
    found = []
    for day in days:
        whole = len({(day + _HALF_HOUR * half).astimezone(where).utcoffset() for half in (0, 48)}) == 1
        length = _DAY if whole else _HALF_HOUR
        found += [(day + length * part, length) for part in range(_DAY // length)]
    offsets = [start.astimezone(where).utcoffset() for start, _ in found]
    ends = [
        (start + length + offset).replace(tzinfo=None)
        for (start, length), offset in zip(found, offsets, strict=True)
    ]
    return [start for start, _ in found], offsets, list(accumulate(ends, max))


def instant(local: datetime, zone: str) -> datetime:
    """The first instant at which the clocks of `zone` show `local` or later."""
    starts, offsets, reached = _blocks(zone)
    at = bisect_right(reached, local)
    return max(starts[at], local.replace(tzinfo=UTC) - offsets[at])


def rule_of(rule: str, anchor: date) -> rrule:
    """An RRULE counted from the midnight that begins `anchor`. Raises ValueError for what never comes."""
    begins = datetime(anchor.year, anchor.month, anchor.day)  # noqa: DTZ001 - local
    wanted = rule if "BYSECOND" in rule else f"{rule};BYSECOND=0"
    return rrulestr(wanted, dtstart=begins)


@lru_cache(maxsize=1)  # one zone after the other asks for the same
def locals_of(rule: str, anchor: date, start: datetime, end: datetime) -> list[datetime]:
    """The naive local times of that rule between two of them. Not to be changed: it is shared."""
    return rule_of(rule, anchor).between(start, end, inc=True)


def expected(rule: str, zone: str, start: datetime, end: datetime, anchor: date) -> list[datetime]:
    """What a schedule must give between two instants, each instant once."""
    far = timedelta(days=2)
    times = locals_of(rule, anchor, (start - far).replace(tzinfo=None), (end + far).replace(tzinfo=None))
    return [each for each in sorted({instant(time, zone) for time in times}) if start <= each < end]


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Any rule of the subset, as text."""
    freq = draw(st.sampled_from(["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    many = lambda strategy: ",".join(map(str, draw(st.lists(strategy, min_size=1, max_size=4))))  # noqa: E731
    month_day = st.integers(1, 31).map(lambda day: day if draw(st.booleans()) else -day)
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 40))}"]
    parts += [f"BYMONTH={many(st.integers(1, 12))}"] if freq == "YEARLY" or draw(st.booleans()) else []
    by_day = freq == "WEEKLY" or (freq not in ("WEEKLY", "YEARLY") and draw(st.booleans()))
    parts += [f"BYDAY={many(st.sampled_from(['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU']))}"] if by_day else []
    if freq == "YEARLY" or (freq == "MONTHLY" and not by_day) or (freq == "DAILY" and draw(st.booleans())):
        parts.append(f"BYMONTHDAY={many(month_day)}")
    if freq in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY") or draw(st.booleans()):
        parts.append(f"BYHOUR={many(st.integers(0, 23))}")
    if freq != "MINUTELY":
        parts.append(f"BYMINUTE={many(st.integers(0, 59))}")
    if freq == "MONTHLY" and draw(st.booleans()):
        parts = [part for part in parts if not part.startswith(("BYHOUR", "BYMINUTE"))]
        parts += ["BYHOUR=2", "BYMINUTE=30", f"BYSETPOS={draw(st.sampled_from([-2, -1, 1, 2, 5]))}"]
    return ";".join(parts)
