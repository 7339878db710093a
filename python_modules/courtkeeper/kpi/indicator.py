"""What an indicator is: its words, its measure, and the arithmetic that several share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar, Literal

import msgspec

from courtkeeper.kpi.evidence import Evidence

_DAY = timedelta(days=1)


class Point(msgspec.Struct, frozen=True):
    """A value of the past."""

    at: datetime
    value: float


class Part(msgspec.Struct, frozen=True):
    """What a value is made of: one host, source or probe."""

    name: str
    value: float | None


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """An indicator as it is now.

    `value` is in `unit`, None where it is unknown; `basis` says why, or what it was made from.
    `trend` is oldest first; `better` says which way is good.
    """

    key: str
    title: str
    definition: str
    unit: str
    better: Literal["more", "less"]
    value: float | None
    basis: str
    trend: list[Point] = []
    parts: list[Part] = []


class Found(msgspec.Struct, frozen=True):
    """What an indicator makes of the evidence."""

    value: float | None
    basis: str
    trend: list[Point] = []
    parts: list[Part] = []


class Indicator(ABC):
    """One indicator: what it means, and how it is measured."""

    key: ClassVar[str]
    title: ClassVar[str]
    definition: ClassVar[str]
    unit: ClassVar[str]
    better: ClassVar[Literal["more", "less"]]

    @abstractmethod
    def find(self, evidence: Evidence) -> Found:
        """Measure it. No evidence is no value."""

    def measure(self, evidence: Evidence) -> Kpi:
        """Return it with its words."""
        found = self.find(evidence)
        return Kpi(
            key=self.key,
            title=self.title,
            definition=self.definition,
            unit=self.unit,
            better=self.better,
            value=None if found.value is None else round(found.value, 4),
            basis=found.basis,
            trend=[Point(each.at, round(each.value, 4)) for each in found.trend],
            parts=found.parts,
        )


def percent(good: float, of: float) -> float:
    """Return a share in percent."""
    return 100 * good / of


def day_of(at: datetime) -> datetime:
    """Return the day (UTC) of an instant, as its beginning."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def by_day(counted: Iterable[tuple[datetime, int, int]]) -> list[Point]:
    """Return the share by day (UTC) from (when, how many, how many of them)."""
    days: dict[datetime, tuple[int, int]] = {}
    for at, number, good in counted:
        before = days.get(day_of(at), (0, 0))
        days[day_of(at)] = before[0] + number, before[1] + good
    return [Point(at, percent(good, number)) for at, (number, good) in sorted(days.items()) if number]


def age(times: dict[str, list[datetime]], evidence: Evidence, never: str) -> Found:
    """Return how many days ago something last happened to each; the longest ago counts, never is unknown."""
    if not times:
        return Found(None, never.format("anything"))
    parts = [
        Part(name, round((evidence.now - own[-1]) / _DAY, 2) if own else None)
        for name, own in sorted(times.items())
    ]
    missing = [part.name for part in parts if part.value is None]
    if missing:
        return Found(None, never.format(", ".join(missing[:5])), parts=parts)
    worst = max(part.value for part in parts if part.value is not None)
    days = int((evidence.now - evidence.start) / _DAY)
    moments = [evidence.now - _DAY * back for back in range(days, -1, -1)]
    trend = [
        Point(at, max((at - max(each)) / _DAY for each in before))
        for at in moments
        if all(before := [[each for each in own if each <= at] for own in times.values()])
    ]
    return Found(worst, f"{len(parts)} looked at.", trend, parts)
