"""KPIs: each with its definition, its value, what that rests on, and its trend."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.kpi.indicator import Kpi
from courtkeeper.kpi.measure import measure
from courtkeeper.report.text import UNKNOWN, quantity
from courtkeeper.report.trends import Sample, trend
from courtkeeper.web.site import Site

WINDOWS = (7, 30, 90, 365)
_DEFAULT = 30
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
    """The indicators of the systems, measured before they are asked for, and anew once they are old.

    Measuring a year of evidence takes longer than a person should wait: whoever asks gets what is known, and
    where that is older than five minutes, it is measured anew behind him.
    """

    def __init__(self, site: Site) -> None:
        """Measure on `site`."""
        self._site = site
        self._lock = threading.Lock()
        self._measuring: set[tuple[str, int]] = set()
        self._known: dict[tuple[str, int], tuple[datetime, list[Kpi]]] = {}

    def warm(self) -> None:
        """Measure everything that can be asked for."""
        for system in self._site.calendars.systems:
            for days in WINDOWS:
                self.of(system, days)

    def of(self, system: str, days: int) -> list[Kpi]:
        """Return the indicators of a system over the last `days`, one of WINDOWS."""
        key = system, days
        with self._lock:
            known = self._known.get(key)
            old = known is None or not timedelta(0) <= self._site.clock() - known[0] < _FRESH
            begin = old and known is not None and key not in self._measuring
            if begin:
                self._measuring.add(key)
        if begin:
            threading.Thread(target=self._renew, args=key, name="courtkeeper-kpis", daemon=True).start()
        return known[1] if known is not None else self._found(system, days)

    def _renew(self, system: str, days: int) -> None:
        try:
            self._found(system, days)
        except CourtkeeperError:  # whoever asks next tries again, and is told where nothing is known
            pass
        finally:
            with self._lock:
                self._measuring.discard((system, days))

    def _found(self, system: str, days: int) -> list[Kpi]:
        now = self._site.clock()
        found = measure(self._site.store, system, now, days)
        with self._lock:
            self._known[system, days] = now, found
        return found

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
        # Two or three digits say it: more would look more certain than a share of some runs is.
        return quantity(round(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2), kpi.unit)

    samples = [Sample(point.at, point.value) for point in kpi.trend]
    return Card(
        kpi,
        UNKNOWN if kpi.value is None else shown(kpi.value),
        kpi.value is not None,
        trend(f"kpi-{number}", f"{kpi.title} over time", samples, shown, width=330, height=90),
        tuple((part.name, UNKNOWN if part.value is None else shown(part.value)) for part in kpi.parts[:20]),
    )
