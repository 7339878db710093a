"""Autovacuum that is switched off for one table and was forgotten."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class UnvacuumedTable(msgspec.Struct, frozen=True):
    """A table with autovacuum off (or its TOAST table), its estimated rows and its age in transactions."""

    table_name: str
    toast: bool
    rows: float
    transactions: int


class TableAutovacuum(Check[UnvacuumedTable]):
    """Looks for tables that autovacuum leaves out."""

    title = "tables without autovacuum"
    row = UnvacuumedTable

    def judge(self, row: UnvacuumedTable) -> Finding:
        """Any is told: it is meant for a bulk load, not for ever."""
        option = "toast.autovacuum_enabled" if row.toast else "autovacuum_enabled"
        what = f"the TOAST table of {row.table_name}" if row.toast else row.table_name
        return self.finding(
            row.table_name,
            Status.WARN,
            f"Autovacuum is switched off for {what} (about {row.rows:,.0f} rows, "
            f"{row.transactions:,} transactions old).",
            observed="off",
            threshold="on",
            fix=f"ALTER TABLE {row.table_name} RESET ({option});",
            undo=f"ALTER TABLE {row.table_name} SET ({option} = off);",
        )
