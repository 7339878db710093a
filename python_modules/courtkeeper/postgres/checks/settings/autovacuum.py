"""Autovacuum that is switched off for the whole server."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class Switch(msgspec.Struct, frozen=True):
    """A switch that is off."""

    name: str
    fix: str
    undo: str


class Autovacuum(Check[Switch]):
    """Looks for autovacuum or its counters switched off."""

    title = "switches that keep autovacuum from working"
    row = Switch

    def judge(self, row: Switch) -> Finding:
        """Critical: tables bloat and transaction ids run out."""
        return self.finding(
            row.name,
            Status.CRIT,
            f"{row.name} is off: nothing cleans the tables or renews their statistics until the server is "
            "forced to, near the wraparound.",
            observed="off",
            threshold="on",
            fix=row.fix,
            undo=row.undo,
        )
