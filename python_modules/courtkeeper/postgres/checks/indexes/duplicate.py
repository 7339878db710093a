"""Duplicate indexes (pg-index-health)."""

from __future__ import annotations

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check
from courtkeeper.postgres.checks.indexes._redundant import RedundantIndex, create, drop
from courtkeeper.postgres.sizes import size


class Duplicate(Check[RedundantIndex]):
    """Looks for indexes that another one repeats."""

    title = "duplicate indexes"
    row = RedundantIndex

    def judge(self, row: RedundantIndex) -> Finding:
        """Name the index that goes and the one that stays."""
        return self.finding(
            row.index_name,
            Status.WARN,
            f"The index {row.index_name} on {row.table_name} is the same as {row.kept_name}: "
            f"{size(row.bytes)} that every write pays for twice.",
            observed=row.bytes,
            unit="bytes",
            fix=drop(row.index_name, is_partitioned=row.is_partitioned),
            undo=create(row.definition, is_partitioned=row.is_partitioned),
        )
