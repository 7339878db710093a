"""KPIs: each with its definition, its value, what that rests on, and its trend."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from courtkeeper.findings import ConfigurationError
from courtkeeper.kpi.indicator import Kpi
from courtkeeper.kpi.measure import measure
from courtkeeper.report.text import UNKNOWN, quantity
from courtkeeper.report.trends import Sample, trend
from courtkeeper.web.site import Site

WINDOWS = (7, 30, 90, 365)
_DEFAULT = 30
# They look at everything of the window: as often as a person looks is more often than they change.
_FRESH = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Card:
    """One indicator as the page shows it."""

    kpi: Kpi
    value: str
    known: bool
    chart: Markup | None
    parts: tuple[tuple[str, str], ...]


class Kpis:
    """The indicators of the systems, measured when they are asked for and kept for five minutes."""

    def __init__(self, site: Site) -> None:
        """Measure on `site`."""
        self._site = site
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], tuple[datetime, list[Kpi]]] = {}

    def of(self, system: str, days: int) -> list[Kpi]:
        """Return the indicators of a system over the last `days`, one of WINDOWS."""
        now = self._site.clock()
        # One at a time: whoever waits gets what the one before has measured.
        with self._lock:
            known = self._known.get((system, days))
            if known is None or not timedelta(0) <= now - known[0] < _FRESH:
                known = self._known[system, days] = now, measure(self._site.store, system, now, days)
            return known[1]

    def view(self, given: dict[str, str]) -> dict[str, Any]:
        """Return the view of the page. Raises ConfigurationError for a system or window that there is not."""
        systems = self._site.calendars.systems
        system = given["system"] or (systems[0] if systems else "")
        if given["system"] and given["system"] not in systems:
            raise ConfigurationError(f"There is no system {given['system'][:60]!r} here.")
        days = _window(given["days"])
        cards = [_card(number, kpi) for number, kpi in enumerate(self.of(system, days))] if system else []
        return {
            "now": self._site.clock(),
            "system": system,
            "systems": systems,
            "days": days,
            "windows": WINDOWS,
            "cards": cards,
        }


def _window(word: str) -> int:
    if not word:
        return _DEFAULT
    if word not in {str(days) for days in WINDOWS}:
        raise ConfigurationError(f"{word[:20]!r} is no window: say {', '.join(map(str, WINDOWS))} (days).")
    return int(word)


def _card(number: int, kpi: Kpi) -> Card:
    def shown(value: float) -> str:
        return quantity(value, kpi.unit)

    samples = [Sample(point.at, point.value) for point in kpi.trend]
    return Card(
        kpi,
        UNKNOWN if kpi.value is None else shown(kpi.value),
        kpi.value is not None,
        trend(f"kpi-{number}", f"{kpi.title} over time", samples, shown, width=330, height=90),
        tuple((part.name, UNKNOWN if part.value is None else shown(part.value)) for part in kpi.parts[:20]),
    )
