"""All indicators of a system."""

from __future__ import annotations

from datetime import datetime, timedelta

from courtkeeper.findings import ConfigurationError
from courtkeeper.kpi.definitions import INDICATORS
from courtkeeper.kpi.evidence import Evidence
from courtkeeper.kpi.indicator import Kpi
from courtkeeper.settings import known
from courtkeeper.store.store import Store


def measure(store: Store, system: str, now: datetime, days: int = 30, only: str = "") -> list[Kpi]:
    """Return the indicators of the last `days`, or the one of that key. Raises ConfigurationError."""
    if not 1 <= days <= 366:
        raise ConfigurationError(f"A window of {days} days is none: give 1 to 366.")
    keys = [each.key for each in INDICATORS]
    known("indicator", [only] if only else [], keys)
    evidence = Evidence(store.database, system, now - timedelta(days=days), now)
    return [each().measure(evidence) for each in INDICATORS if only in ("", each.key)]
