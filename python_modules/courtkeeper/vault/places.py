"""How findings of all the vault's duties say how old a backup is, and what it is of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def age(taken_at: datetime, now: datetime) -> str:
    """Return how long ago it was: `40 minutes`, `5 hours`, `12 days`; `in the future` where it is."""
    passed = now - taken_at
    if passed < timedelta(0):
        return "in the future"
    if passed < 2 * _HOUR:
        return _counted(passed // timedelta(minutes=1), "minute")
    if passed < 2 * _DAY:
        return _counted(passed // _HOUR, "hour")
    return _counted(passed // _DAY, "day")


def moment(when: datetime) -> str:
    """Return a time as findings and tables say it: `2026-02-12 06:00 UTC`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def subject(vault: str, source: str, destination: str = "") -> str:
    """Return what a finding is about: `nba/database` or `nba/database on offsite`."""
    return f"{vault}/{source} on {destination}" if destination else f"{vault}/{source}"


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
