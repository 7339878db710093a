"""Tables that miss an index (PgHero)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class ScannedTable(msgspec.Struct, frozen=True):
    """A table and how it was read. `statements` asks for the statements that name it."""

    table_name: str
    statements: str
    seq_scans: int
    index_scans: int
    rows_read: int
    live_rows: int


class Missing(Check[ScannedTable]):
    """Looks for big tables whose readers find no index."""

    title = "tables that miss an index"
    row = ScannedTable
    limits: ClassVar = {
        "warn": Limit(95, "% of scans by an index", "PgHero"),
        "min_rows": Limit(10_000, "rows", "PgHero"),
        "min_scans": Limit(
            50, "sequential scans", "as many scans as an index needs to count as used (PgHero)"
        ),
    }

    def judge(self, row: ScannedTable) -> Finding:
        """Which columns, only the statements can tell."""
        used = 100 * row.index_scans / (row.seq_scans + row.index_scans)
        return self.finding(
            row.table_name,
            Status.WARN,
            f"The table {row.table_name} ({row.live_rows:,} rows) was read whole {row.seq_scans:,} times and "
            f"by an index {row.index_scans:,} times ({used:.1f} %).",
            observed=round(used, 1),
            threshold=self.limit["warn"],
            unit="%",
            fix=f"{row.statements} -- then index the columns that they compare",
        )
