"""Numbers, durations, times and foreign text as a person should read them.

Everything is independent of the machine's locale and time zone, so that the same record
always gives the same page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup

NOTHING = "\N{EN DASH}"
UNKNOWN = "unknown"
_NBSP = "\N{NO-BREAK SPACE}"  # a number and its unit stay on one line
TEXT_LIMIT = 1_500
"""Characters of one foreign text that the page shows; run.json holds the whole."""
SENTENCE_LIMIT = 1_200
"""Below TEXT_LIMIT, so that what was cut once is not cut again with a wrong count."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
# Control characters, lone surrogates, and the marks that reverse the direction of a line: the first
# two are no HTML, and the last can make a message read as something it does not say.
_UNSHOWABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SHARE_UNITS = frozenset({"ratio", "share", "fraction"})
_PERCENT_UNITS = frozenset({"%", "percent", "pct"})
_BYTE_UNITS = frozenset({"b", "byte", "bytes"})
_SECOND_UNITS = frozenset({"s", "sec", "second", "seconds"})
_METRIC_SUFFIXES = {
    "s": "s",
    "seconds": "s",
    "ms": "ms",
    "bytes": "bytes",
    "ratio": "ratio",
    "share": "share",
    "pct": "%",
    "percent": "%",
}


def clean(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return `text` without terminal codes and unshowable characters, cut at `limit` characters."""
    if len(text) <= limit and text.isascii() and text.isprintable():  # nearly always, and much faster
        return text
    shown = _UNSHOWABLE.sub("\N{REPLACEMENT CHARACTER}", _ANSI.sub("", text[: limit * 2]))
    if len(text) <= limit:
        return shown
    return f"{shown[:limit]}… (cut: {integer(len(text))} characters in all, run.json has them)"


def shown(value: object) -> object:
    """Prepare any value for the page: jinja calls this for every expression, before it escapes."""
    if value is None:
        return ""
    if isinstance(value, Markup):  # made by us, escaped where it was made
        return value
    return clean(str(value))


def short(value: str, limit: int) -> str:
    """Return `value` cut at `limit` characters with an ellipsis, for places of a fixed width."""
    whole = clean(value, limit=TEXT_LIMIT)
    return whole if len(whole) <= limit else whole[: limit - 1] + "…"


def breakable(value: str) -> Markup:
    """Return a name such as `public.play_events_id_seq` with places where a line may break."""
    parts = re.split(r"(?<=[._/@:;,\-])(?=\w)", clean(value))
    return Markup("<wbr>").join(parts)


def integer(value: int) -> str:
    """Return 1234567 as `1,234,567`."""
    return f"{value:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """Return `1 game`, `2 games`, `0 games`."""
    return f"{integer(count)} {one if count == 1 else many or one + 's'}"


def joined(parts: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    items = list(parts)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def percent(share: float) -> str:
    """Return a share of 0 to 1 as percent, rounded down: 0.9999 is never shown as 100 %."""
    tenths = math.floor(share * 1000 + 1e-9)
    return f"{tenths // 10}{_NBSP}%" if tenths % 10 == 0 else f"{tenths / 10:.1f}{_NBSP}%"


def duration(seconds: float) -> str:
    """Return `0.42 s`, `12.3 s`, `4 min 05 s` or `2 h 07 min`."""
    if not math.isfinite(seconds) or seconds < 0:
        return UNKNOWN
    if seconds < 9.995:
        return f"{seconds:.2f}{_NBSP}s"
    if seconds < 59.95:
        return f"{seconds:.1f}{_NBSP}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}{_NBSP}min {whole % 60:02d}{_NBSP}s"
    minutes = round(seconds / 60)
    return f"{integer(minutes // 60)}{_NBSP}h {minutes % 60:02d}{_NBSP}min"


def size(count: float) -> str:
    """Return a number of bytes with a binary prefix: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f}{_NBSP}B" if unit == "B" else f"{count:.1f}{_NBSP}{unit}"
        count /= 1024
    return f"{count:,.1f}{_NBSP}TiB"


def number(value: float) -> str:
    """Return a number with thousands separated and at most four digits behind the point."""
    if isinstance(value, int):
        return integer(value)
    if not math.isfinite(value):
        return UNKNOWN
    if value.is_integer() and abs(value) < 1e15:
        return integer(int(value))
    digits = f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.1f}"
    return digits.rstrip("0").rstrip(".")


def quantity(value: float | str | None, unit: str = "") -> str:
    """Return an observed value or a threshold with its unit, in the form a person would write."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return f"{value} {unit}".strip()
    if not math.isfinite(value):
        return UNKNOWN
    kind = unit.lower()
    if kind in _SHARE_UNITS:
        return percent(value)
    if kind in _PERCENT_UNITS:
        return f"{number(value)}{_NBSP}%"
    if kind in _BYTE_UNITS:
        return size(value)
    if kind in _SECOND_UNITS and value >= 60:
        return duration(value)
    return f"{number(value)} {unit}".strip()


def metric(name: str, value: float) -> tuple[str, str]:
    """Return a metric's label and value: `fetch_duration_s`, 1.5 gives `Fetch duration`, `1.5 s`."""
    words = name.split("_")
    unit = _METRIC_SUFFIXES.get(words[-1], "") if len(words) > 1 else ""
    label = " ".join(words[:-1] if unit else words)
    return label[:1].upper() + label[1:], quantity(value, unit)


def sentence(text: str, limit: int = SENTENCE_LIMIT) -> str:
    """Return `text` with a capital first letter and a full stop, cut at `limit` characters."""
    stripped = clean(text.strip(), limit)
    if not stripped:
        return ""
    # Nor behind a statement: what ends in a semicolon may be copied.
    ended = stripped if stripped[-1] in ".!?…:;" else stripped + "."
    return ended[0].upper() + ended[1:]


def day(value: date) -> str:
    """Return `Wed 11 Feb 2026`."""
    return f"{_DAYS[value.weekday()]} {value.day} {_MONTHS[value.month - 1]} {value.year}"


def iso_day(text: str) -> str:
    """Return `2026-02-11` as `Wed 11 Feb 2026`, and anything that is no such date as it is."""
    try:
        return day(date.fromisoformat(text))
    except ValueError:
        return text


def iso_days(first: str, last: str) -> str:
    """Return a span of days as `4 to 11 Feb 2026`, naming month and year once where they are the same."""
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        return f"{first} to {last}"
    until = f"{end.day} {_MONTHS[end.month - 1]} {end.year}"
    if (start.year, start.month) == (end.year, end.month):
        return f"{start.day} to {until}"
    year = "" if start.year == end.year else f" {start.year}"
    return f"{start.day} {_MONTHS[start.month - 1]}{year} to {until}"


def in_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; one without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def clock_utc(moment: datetime) -> str:
    """Return `Thu 12 Feb 2026, 06:00:00 UTC`."""
    utc = in_utc(moment)
    return f"{day(utc)}, {utc:%H:%M:%S} UTC"


def clock_local(moment: datetime, zone: str) -> str:
    """Return `Thu 12 Feb 2026, 01:00:00 EST (America/New_York)`, empty where the zone is not known."""
    try:
        local = in_utc(moment).astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):  # a machine without tzdata still gets its report
        return ""
    return f"{day(local)}, {local:%H:%M:%S} {local.tzname()} ({zone})"
