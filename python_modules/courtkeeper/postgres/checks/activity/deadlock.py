"""Deadlocks: two transactions that took the same locks in another order."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class Deadlocks(msgspec.Struct, frozen=True):
    """How many deadlocks there were in `days` (at least one day)."""

    database: str
    deadlocks: int
    days: float


class DeadlockRate(Check[Deadlocks]):
    """Looks for deadlocks that come again and again."""

    title = "frequent deadlocks"
    row = Deadlocks
    limits: ClassVar = {"warn": Limit(1, "deadlocks a day", "Courtkeeper: one may be chance")}

    def judge(self, row: Deadlocks) -> Finding:
        """Judge by the average a day."""
        rate = row.deadlocks / row.days
        return self.finding(
            row.database,
            Status.WARN,
            f"The server broke {row.deadlocks:,} deadlock{'s' if row.deadlocks != 1 else ''} in "
            f"{row.database} within {row.days:.0f} days or less: transactions take the same rows in a "
            "different order.",
            observed=round(rate, 2),
            threshold=self.limit["warn"],
            unit="deadlocks a day",
            fix="-- the server's log shows both statements of each (log_lock_waits shows the waits before): "
            "let the application take rows in one order (ORDER BY … FOR UPDATE)",
        )
