"""Connections near max_connections."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit


class Crowd(msgspec.Struct, frozen=True):
    """The server's connections: `held` of `usable` (`highest` with the reserved), and who holds the most."""

    held: int
    usable: int
    highest: int
    used: float
    role_name: str
    role_held: int
    role_idle: int


class Connections(Check[Crowd]):
    """Looks for a server that will soon let nobody in."""

    title = "shortages of connections"
    row = Crowd
    limits: ClassVar = {
        "warn": Limit(75, "% of the usable connections", "reference: 75 / 90 %"),
        "crit": Limit(90, "% of the usable connections", "reference: 75 / 90 %"),
    }

    def judge(self, row: Crowd) -> Finding:
        """More connections are the fix that can be written down; a pool is often the better one."""
        status = self.graded(row.used)
        return self.finding(
            "max_connections",
            status,
            f"{row.held} of {row.usable} connections are taken; {row.role_name} has {row.role_held} of them, "
            f"{row.role_idle} idle.",
            observed=round(row.used, 1),
            threshold=self.limit.get(status),
            unit="%",
            fix=f"ALTER SYSTEM SET max_connections = {2 * row.highest}; SELECT pg_reload_conf(); "
            "-- takes effect at the next restart; better: a pool, and an end to idle ones",
            undo=f"ALTER SYSTEM SET max_connections = {row.highest}; SELECT pg_reload_conf();",
        )
