"""What the payload formats share: decoding with a clear error, clocks, and the team's shape."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from courtkeeper.nba.model import PayloadError, Team

T = TypeVar("T")

_ISO_CLOCK = re.compile(r"PT(\d{1,3})M(\d{1,2})(?:\.(\d{1,3}))?S")
_PLAIN_CLOCK = re.compile(r"(\d{1,3}):(\d{2})(?:\.(\d))?")

# A period lasts twelve minutes, an overtime five.
PERIOD_MS = 720_000
# The longest game had six overtimes; the platform's schema has room for ten.
_MAX_PERIODS = 14


def decode(payload: bytes, shape: type[T], what: str) -> T:
    """Decode JSON into `shape`. Raises PayloadError, naming `what`, in one sentence."""
    try:
        return msgspec.json.decode(payload, type=shape, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(f"{what}: {one_line(error)}") from error


def one_line(error: BaseException) -> str:
    """Return an error's text as one line of at most 200 characters."""
    return " ".join(str(error).split())[:200]


def iso_clock_ms(clock: str) -> int:
    """Milliseconds left in the period from `PT11M56.00S`. Raises PayloadError."""
    match = _ISO_CLOCK.fullmatch(clock)
    if not match:
        raise PayloadError(f"clock {clock[:20]!r} is not of the form PT11M56.00S")
    minutes, seconds, fraction = match.groups()
    return _bounded(int(minutes), int(seconds), int((fraction or "0").ljust(3, "0")), clock)


def plain_clock_ms(clock: str) -> int:
    """Milliseconds left in the period from `11:56`. Raises PayloadError."""
    match = _PLAIN_CLOCK.fullmatch(clock)
    if not match:
        raise PayloadError(f"clock {clock[:20]!r} is not of the form 11:56")
    minutes, seconds, tenths = match.groups()
    return _bounded(int(minutes), int(seconds), int(tenths or "0") * 100, clock)


def _bounded(minutes: int, seconds: int, milliseconds: int, clock: str) -> int:
    total = (minutes * 60 + seconds) * 1000 + milliseconds
    if total > PERIOD_MS:
        raise PayloadError(f"clock {clock[:20]!r} is longer than a period")
    return total


def period(number: int) -> int:
    """Return a period's number if it can be one (four and up to ten overtimes). Raises PayloadError."""
    if not 1 <= number <= _MAX_PERIODS:
        raise PayloadError(f"period {number} is none of 1 to {_MAX_PERIODS}")
    return number


def duration_s(text: str) -> int | None:
    """Whole seconds played from `PT30M19.00S` or `30:19`; None where it is empty or unreadable."""
    match = re.fullmatch(r"PT(\d{1,3})M(\d{1,2})(?:\.\d+)?S", text) or re.fullmatch(
        r"(\d{1,3}):(\d{2})", text
    )
    return int(match[1]) * 60 + int(match[2]) if match else None


def optional_int(text: str | int | None) -> int | None:
    """An integer from the feed's mixed notations; None for an empty string or null."""
    if text is None or text == "":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise PayloadError(f"{str(text)[:20]!r} is not a whole number") from error


class TeamShape(msgspec.Struct, rename="camel"):
    """A team as every format but v2 writes it."""

    team_id: int
    team_name: str | None = ""
    team_city: str | None = ""
    team_tricode: str | None = ""
    score: int | None = None

    def team(self) -> Team:
        """Return the team without its score."""
        return Team(self.team_id, self.team_city or "", self.team_name or "", self.team_tricode or "")


class Meta(msgspec.Struct):
    """The `meta` block; simulated payloads say so here."""

    source: str = ""
