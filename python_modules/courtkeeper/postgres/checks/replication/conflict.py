"""Queries on a replica that were cancelled because replay could not wait for them."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class Conflicts(msgspec.Struct, frozen=True):
    """How many queries were cancelled in `days` (at least one day)."""

    database: str
    cancelled: int
    days: float


class RecoveryConflicts(Check[Conflicts]):
    """Looks for a replica that cancels its readers again and again."""

    title = "frequent recovery conflicts"
    row = Conflicts
    limits: ClassVar = {"warn": Limit(1, "queries a day", "Courtkeeper: one may be chance")}

    def judge(self, row: Conflicts) -> Finding:
        """Judge by the average a day."""
        return self.finding(
            row.database,
            Status.WARN,
            f"Replay cancelled {row.cancelled:,} {'query' if row.cancelled == 1 else 'queries'} in "
            f"{row.database} on this replica within {row.days:.0f} days or less.",
            observed=round(row.cancelled / row.days, 2),
            threshold=self.limit["warn"],
            unit="queries a day",
            fix="ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf(); "
            "-- bloats the primary while the replica's queries run; or raise max_standby_streaming_delay",
            undo="ALTER SYSTEM RESET hot_standby_feedback; SELECT pg_reload_conf();",
        )
