"""Tables and databases that autovacuum will soon freeze by force (check_postgres)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit


class UnfrozenTable(msgspec.Struct, frozen=True):
    """A table, or another database; `used` % of `highest` (autovacuum_freeze_max_age). `total`: how many."""

    name: str
    is_database: bool
    age: int
    highest: int
    used: float
    total: int


class Freeze(Check[UnfrozenTable]):
    """Looks for what autovacuum should have frozen by now."""

    title = "tables near autovacuum_freeze_max_age"
    row = UnfrozenTable
    limits: ClassVar = {
        "warn": Limit(90, "% of autovacuum_freeze_max_age", "check_postgres"),
        "crit": Limit(95, "% of autovacuum_freeze_max_age", "check_postgres"),
        "shown": Limit(20, "tables and databases", "as many as a person reads; the rest is counted"),
    }

    def judge(self, row: UnfrozenTable) -> Finding:
        """Freezing it now, at a quiet hour, is better than by force."""
        status = self.graded(row.used)
        kind = "database" if row.is_database else "table"
        others = f" ({row.total} are over the limit in all)" if row.total > 1 else ""
        return self.finding(
            row.name,
            status,
            f"The {kind} {row.name} has unfrozen rows of {row.age:,} transactions ago, {row.used:.1f} % of "
            f"the {row.highest:,} at which autovacuum freezes it by force{others}.",
            observed=round(row.used, 1),
            threshold=self.limit.get(status),
            unit="%",
            fix=f"VACUUM (FREEZE); -- connected to {row.name}"
            if row.is_database
            else f"VACUUM (FREEZE) {row.name};",
        )
