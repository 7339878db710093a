"""The times in which nothing begins, from iCalendar files (RFC 5545) as any calendar program writes them.

Each VEVENT is a blackout from its start to its end; one with an RRULE, RDATE or EXDATE recurs. A day without
a time is a whole day in the calendar's zone, as is a time without a zone. What cannot be understood is
refused, never left out: a freeze that is overlooked is worse than a job that does not begin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from courtkeeper.calendar.recurrence import instant_of
from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from dateutil.rrule import rrule, rruleset
    from icalendar import Component, vRecur

MOST_BYTES = 1_000_000
MOST_EVENTS = 1_000
_LONGEST = timedelta(days=366)
_FIRST_YEAR, _LAST_YEAR = 1970, 2999
_RARE = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_PARTS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "WKST"}


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One blackout, from `start` on and before `end` (UTC), and what it is called."""

    start: datetime
    end: datetime
    name: str
    file: str = ""


@dataclass(slots=True)
class _Event:
    """A VEVENT: its naive local starts and how long it lasts there."""

    name: str
    zone: ZoneInfo
    first: datetime
    length: timedelta
    recurs: rruleset | None = None
    uid: str = ""
    replaces: datetime | None = None
    cancelled: bool = False
    without: set[datetime] = field(default_factory=set)

    def spans(self, start: datetime, end: datetime, file: str) -> Iterator[Span]:
        """Yield the spans that touch the time from `start` to `end`."""
        # A day more on either side, because local times are compared with instants here.
        low = (start - timedelta(days=2)).replace(tzinfo=None) - self.length
        high = (end + timedelta(days=2)).replace(tzinfo=None)
        starts = self.recurs.between(low, high, inc=True) if self.recurs else [self.first]
        for local in starts:
            if local in self.without:
                continue
            begins = instant_of(local, self.zone).instant
            ends = instant_of(local + self.length, self.zone).instant
            if begins < end and ends > start:
                yield Span(begins, ends, self.name, file)


class Blackouts:
    """The blackouts of one or more files."""

    def __init__(self, files: Iterable[tuple[str, list[_Event]]] = ()) -> None:
        """Take what `read` gives; without any, nothing is ever blacked out."""
        self._files = tuple(files)

    def __add__(self, other: Blackouts) -> Blackouts:
        """Return the blackouts of both."""
        return Blackouts((*self._files, *other._files))

    def spans(self, start: datetime, end: datetime) -> list[Span]:
        """Return the blackouts that touch the time from `start` to `end`, by their start."""
        low, high = start.astimezone(UTC), end.astimezone(UTC)
        return sorted(
            span for file, events in self._files for event in events for span in event.spans(low, high, file)
        )

    def at(self, instant: datetime) -> Span | None:
        """Return the blackout in which `instant` lies; of several the one that ends last."""
        now = instant.astimezone(UTC)
        found = self.spans(now, now + timedelta(microseconds=1))
        return max(found, key=lambda span: span.end, default=None)


def read(path: Path, zone: ZoneInfo, name: str = "") -> Blackouts:
    """Return the blackouts of an iCalendar file; `zone` is whose time it is where the file says none.

    Raises ConfigurationError: one sentence that begins with `name` (or the path) and says the mend.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{name} is not there: write it, or take it out of blackouts") from None
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror or error}") from None
    if len(raw) > MOST_BYTES:
        raise ConfigurationError(f"{name} is larger than 1 MB: keep blackouts in a file of their own")
    return parse(raw, zone, name)


def parse(raw: bytes, zone: ZoneInfo, name: str) -> Blackouts:
    """Return the blackouts of an iCalendar file's content. Raises ConfigurationError as `read` does."""
    from icalendar import Calendar

    try:
        text = raw.decode("utf-8-sig")
        calendars = Calendar.from_ical(text, multiple=True)
        found = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    except UnicodeDecodeError:
        raise ConfigurationError(f"{name} is not UTF-8: save it so") from None
    except Exception as error:  # noqa: BLE001 - the library's parser raises whatever its parts do
        said = " ".join(str(error).split())[:80]
        raise ConfigurationError(f"{name} is not an iCalendar file: {said}") from None
    if any(calendar.name != "VCALENDAR" for calendar in calendars) or not calendars:
        raise ConfigurationError(f"{name} is not an iCalendar file: it does not begin with BEGIN:VCALENDAR")
    if len(found) > MOST_EVENTS:
        raise ConfigurationError(f"{name} has {len(found)} events: keep to {MOST_EVENTS}")
    return Blackouts([(name, _overridden([_event(each, zone, name) for each in found], name))])


def _event(given: Component, zone: ZoneInfo, name: str) -> _Event:
    """Return a VEVENT as ours. Raises ConfigurationError naming it."""
    title = " ".join(str(given.get("summary", "")).split())[:80]
    who = f"{name}: the event {title or given.get('uid', '')!s}"
    if given.errors:
        prop, said = given.errors[0]
        raise ConfigurationError(
            f"{who} has a {prop} that cannot be read: {' '.join(str(said).split())[:80]}"
        )
    try:
        return _understood(given, zone, title or "blackout")
    except ConfigurationError as error:
        raise ConfigurationError(f"{who} {error}") from None
    except Exception as error:  # noqa: BLE001 - what the library hands over may have any shape
        raise ConfigurationError(f"{who} cannot be understood: {' '.join(str(error).split())[:80]}") from None


def _understood(given: Component, zone: ZoneInfo, title: str) -> _Event:
    start = _single(given, "dtstart")
    if start is None:
        raise ConfigurationError("has no DTSTART: say when it begins")
    first, own = _local(start, zone)
    if not _FIRST_YEAR <= first.year <= _LAST_YEAR:
        raise ConfigurationError(f"does not begin from {_FIRST_YEAR} to {_LAST_YEAR}: mend its DTSTART")
    length = _length(given, start, first, own)
    replaced = _single(given, "recurrence-id")
    if replaced is not None and given["recurrence-id"].params.get("RANGE"):
        raise ConfigurationError("changes all later ones at once (RANGE): end the series and begin another")
    return _Event(
        name=title,
        zone=own,
        first=first,
        length=length,
        recurs=_recurs(given, first, own),
        uid=str(given.get("uid", "")),
        replaces=None if replaced is None else _in(replaced, own, zone),
        # What is shown as free is a note, and no blackout.
        cancelled=str(given.get("transp", "")).upper() == "TRANSPARENT"
        or str(given.get("status", "")).upper() == "CANCELLED",
    )


def _single(given: Component, prop: str) -> date | datetime | None:
    value = given.get(prop)
    if isinstance(value, list):
        raise ConfigurationError(f"has {prop.upper()} twice: say it once")
    moment = getattr(value, "dt", None)
    if value is not None and not isinstance(moment, date):
        raise ConfigurationError(f"has a {prop.upper()} that is no date: write it as 20261224T180000Z")
    return moment


def _local(moment: date, zone: ZoneInfo) -> tuple[datetime, ZoneInfo]:
    """Return the naive local time of a DTSTART or DTEND and the zone it is in."""
    if not isinstance(moment, datetime):
        return datetime(moment.year, moment.month, moment.day), zone  # noqa: DTZ001 - naive on purpose
    if moment.tzinfo is None:
        return moment, zone
    if isinstance(moment.tzinfo, ZoneInfo):
        return moment.replace(tzinfo=None), moment.tzinfo
    # A zone of the file's own making, which names none of the world's: its instants are taken.
    return moment.astimezone(UTC).replace(tzinfo=None), ZoneInfo("UTC")


def _in(moment: date, own: ZoneInfo, zone: ZoneInfo) -> datetime:
    """Return `moment` as a naive local time of the event's own zone."""
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return moment.astimezone(own).replace(tzinfo=None)
    return _local(moment, zone)[0]


def _length(given: Component, start: date, first: datetime, own: ZoneInfo) -> timedelta:
    end, duration = _single(given, "dtend"), given.get("duration")
    if end is not None and duration is not None:
        raise ConfigurationError("has both DTEND and DURATION: say one of them")
    if end is not None:
        length = _in(end, own, own) - first
    elif duration is not None:
        length = duration.dt
    else:
        length = timedelta() if isinstance(start, datetime) else timedelta(days=1)
    if not timedelta() < length <= _LONGEST:
        raise ConfigurationError("ends before it begins, has no end, or lasts over a year: mend its DTEND")
    return length


def _recurs(given: Component, first: datetime, own: ZoneInfo) -> rruleset | None:
    """Return the event's recurrence over naive local times, None for one that comes once."""
    from dateutil.rrule import rruleset

    rules, more, less = (_many(given, prop) for prop in ("rrule", "rdate", "exdate"))
    if not rules and not more and not less:
        return None
    if len(rules) > 1:
        raise ConfigurationError("has two RRULEs: make two events of it")
    series = rruleset(cache=True)
    series.rdate(first)  # DTSTART is always the first of a series
    for rule in rules:
        series.rrule(_rule(rule, first, own))
    for moment in (each.dt for dates in more for each in dates.dts):
        if isinstance(moment, tuple):
            raise ConfigurationError("has an RDATE with a period: write dates")
        series.rdate(_in(moment, own, own))
    for moment in (each.dt for dates in less for each in dates.dts):
        series.exdate(_in(moment, own, own))
    return series


def _many(given: Component, prop: str) -> list[Any]:
    value = given.get(prop)
    return value if isinstance(value, list) else [] if value is None else [value]


def _rule(rule: vRecur, first: datetime, own: ZoneInfo) -> rrule:
    from dateutil.rrule import rrule, rrulestr

    parts = {name: list(value) for name, value in rule.items()}
    if unknown := sorted(set(parts) - _PARTS):
        raise ConfigurationError(f"has {unknown[0]} in its RRULE: keep to {', '.join(sorted(_PARTS))}")
    if str(parts.get("FREQ", [""])[0]) not in _RARE:
        raise ConfigurationError(f"must recur {', '.join(_RARE)}: give its RRULE such a FREQ")
    for name in ("INTERVAL", "COUNT"):
        # Zero days later is the same day again, for ever.
        if any(int(number) < 1 for number in parts.get(name, [])):
            raise ConfigurationError(f"has {name} below 1 in its RRULE: mend it")
    said: bytes = rule.to_ical()  # type: ignore[no-untyped-call]
    words = [word for word in said.decode().split(";") if not word.startswith("UNTIL=")]
    if until := parts.get("UNTIL"):
        last = until[0] if isinstance(until[0], datetime) else datetime.combine(until[0], datetime.max.time())
        words.append(f"UNTIL={_in(last, own, own):%Y%m%dT%H%M%S}")
    found = rrulestr(";".join(words), dtstart=first, cache=True)
    assert isinstance(found, rrule), "one rule and no dates give no set"  # noqa: S101
    return found


def _overridden(events: list[_Event], name: str) -> list[_Event]:
    """Return the events with single ones of a series replaced or cancelled as their RECURRENCE-ID says."""
    series = {event.uid: event for event in events if event.replaces is None}
    for event in events:
        if event.replaces is None:
            continue
        if event.uid not in series:
            raise ConfigurationError(
                f"{name}: the event {event.name} changes a series that is not in the file"
            )
        master = series[event.uid]
        moment = instant_of(event.replaces, event.zone).instant
        master.without.add(moment.astimezone(master.zone).replace(tzinfo=None))
    return [event for event in events if not event.cancelled]
