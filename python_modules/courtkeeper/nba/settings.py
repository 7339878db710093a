"""What one refresh needs to know, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError
from courtkeeper.nba.cache import CacheSettings
from courtkeeper.nba.client import FeedSettings
from courtkeeper.nba.quality import Thresholds
from courtkeeper.settings import converted, within

LEAGUE_ZONE: Final = ZoneInfo("America/New_York")
_FIRST_GAME: Final = date(1946, 11, 1)
_MAX_LOOK_BACK_DAYS: Final = 400


class RefreshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one refresh needs. `payload_directory` keeps the raw payloads.

    `source` is how reports call the feed (`live`, `recorded`, `simulated`). With `replay`
    nothing is fetched: kept payloads are parsed again. With `archive` and `archive_log` the
    games come from a season archive instead, restricted to the days if any are given.
    """

    database: DatabaseSettings
    cache: CacheSettings | None
    payload_directory: Path
    feed: FeedSettings = msgspec.field(default_factory=FeedSettings)
    thresholds: Thresholds = msgspec.field(default_factory=Thresholds)
    source: Literal["live", "recorded", "simulated"] = "live"
    replay: bool = False
    archive: Path | None = None
    archive_log: Path | None = None

    @property
    def source_name(self) -> str:
        """Where the games come from: the feed by its name, or `archive`."""
        return "archive" if self.archive else self.source


def settings_from(parameters: Mapping[str, Any]) -> RefreshSettings:
    """Settings from the plain values of a module's arguments; what it does not know it passes over.

    Raises ConfigurationError, naming the value that cannot be.
    """
    return converted(parameters, RefreshSettings)


def league_today(now: datetime) -> date:
    """The league's day at `now`: US Eastern time."""
    return now.astimezone(LEAGUE_ZONE).date()


def days_to_refresh(text: str, look_back_days: int, *, now: datetime) -> tuple[date, date]:
    """First and last day: `text` (YYYY-MM-DD; yesterday where empty) and so many days before it.

    Raises ConfigurationError where a value is malformed, before the league's time or in its future.
    """
    within("look_back_days", look_back_days, 0, _MAX_LOOK_BACK_DAYS)
    last = _day(text) if text else league_today(now) - timedelta(days=1)
    if last > league_today(now):
        raise ConfigurationError(
            f"the date {last} lies in the future (it is {league_today(now)} in New York): "
            "no game of it can be Final"
        )
    if last < _FIRST_GAME:
        raise ConfigurationError(f"the date {last} lies before the league's first game ({_FIRST_GAME})")
    return last - timedelta(days=look_back_days), last


def _day(text: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ConfigurationError(f"the date {text[:40]!r} is not a day: write it as 2026-02-11")
