"""The time of day in which a job may begin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from courtkeeper.calendar.model import WINDOW
from courtkeeper.calendar.recurrence import instant_of
from courtkeeper.findings import ConfigurationError


@dataclass(frozen=True, slots=True)
class Window:
    """From `opens` (included) to `closes` (not included) in local time of `zone`; it may span midnight."""

    opens: time
    closes: time
    zone: ZoneInfo

    def __str__(self) -> str:
        """Return it as it is written in a calendar."""
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"

    def holds(self, local: time) -> bool:
        """Say whether a local time of day lies within."""
        if self.opens < self.closes:
            return self.opens <= local < self.closes
        return local >= self.opens or local < self.closes

    def contains(self, instant: datetime) -> bool:
        """Say whether an instant lies within."""
        return self.holds(self._local(instant).time())

    def next_opening(self, instant: datetime) -> datetime:
        """Return the first instant after `instant` (UTC) at which the window opens."""
        return self._next(instant, self.opens)

    def next_close(self, instant: datetime) -> datetime:
        """Return the first instant after `instant` (UTC) at which the window closes."""
        return self._next(instant, self.closes)

    def _next(self, instant: datetime, at: time) -> datetime:
        today = self._local(instant).date()
        for days in range(-1, 4):
            found = instant_of(datetime.combine(today + timedelta(days=days), at), self.zone).instant
            if found > instant:
                return found
        raise AssertionError(f"{at} does not come within three days in {self.zone.key}")

    def _local(self, instant: datetime) -> datetime:
        return instant.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None)


def parse_window(text: str, zone: ZoneInfo) -> Window | None:
    """Return the window that `01:00-05:00` says, None for an empty text. Raises ConfigurationError."""
    if not text:
        return None
    if not re.fullmatch(WINDOW.strip("^$"), text):
        raise ConfigurationError(f"{text[:40]!r} is no window: write it as 01:00-05:00, in 24 hours")
    opens, closes = (time.fromisoformat(part) for part in text.split("-"))
    if opens == closes:
        raise ConfigurationError(f"the window {text} is never open: leave it out for the whole day")
    return Window(opens, closes, zone)
