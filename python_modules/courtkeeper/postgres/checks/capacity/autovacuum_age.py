"""Tables with dead rows that autovacuum does not come to (Netdata)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class NeglectedTable(msgspec.Struct, frozen=True):
    """A table and its dead rows. `days`: since it was vacuumed, or since the statistics began."""

    table_name: str
    dead_rows: int
    live_rows: int
    was_vacuumed: bool
    days: float


class AutovacuumAge(Check[NeglectedTable]):
    """Looks for tables that should have been vacuumed long ago."""

    title = "tables that autovacuum neglects"
    row = NeglectedTable
    limits: ClassVar = {"warn": Limit(7, "days", "Netdata")}

    def judge(self, row: NeglectedTable) -> Finding:
        """Vacuum it once; what holds autovacuum back is found by the groups activity and settings."""
        when = (
            f"{row.days:.1f} days ago" if row.was_vacuumed else f"never in {row.days:.1f} days of statistics"
        )
        return self.finding(
            row.table_name,
            Status.WARN,
            f"The table {row.table_name} has {row.dead_rows:,} dead rows beside {row.live_rows:,} live ones "
            f"and was last vacuumed {when}.",
            observed=round(row.days, 1),
            threshold=self.limit["warn"],
            unit="days",
            fix=f"VACUUM (ANALYZE) {row.table_name};",
        )
