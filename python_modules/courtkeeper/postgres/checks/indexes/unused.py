"""Indexes that no query uses (PgHero)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit, Needs
from courtkeeper.postgres.checks.indexes._redundant import create, drop
from courtkeeper.postgres.sizes import size


class UnusedIndex(msgspec.Struct, frozen=True):
    """An index with at most `warn` scans. `replicas`: standbys, whose own scans are not in `scans`."""

    index_name: str
    table_name: str
    is_partitioned: bool
    scans: int
    bytes: int
    definition: str
    replicas: int


class Unused(Check[UnusedIndex]):
    """Looks for indexes that writes pay for and reads do not use."""

    title = "unused indexes"
    row = UnusedIndex
    limits: ClassVar = {
        "warn": Limit(50, "scans since the statistics began", "PgHero"),
        "min_mb": Limit(1, "MB", "a smaller one is not worth a decision"),
    }
    needs = Needs(statistics_days=7)  # reference: a week holds the weekly jobs as well

    def judge(self, row: UnusedIndex) -> Finding:
        """With a replica that may use the index nothing is certain."""
        summary = (
            f"The index {row.index_name} on {row.table_name} ({size(row.bytes)}) was used {row.scans} times "
            "since the statistics began"
        )
        status, remark = Status.WARN, ""
        if row.replicas:
            status = Status.UNKNOWN
            summary += f"; whether a replica ({row.replicas} connected) uses it, only the replica can tell"
            remark = " -- only after asking pg_stat_user_indexes on every replica"
        return self.finding(
            row.index_name,
            status,
            f"{summary}.",
            observed=row.scans,
            threshold=self.limit["warn"],
            unit="scans",
            fix=drop(row.index_name, is_partitioned=row.is_partitioned) + remark,
            undo=create(row.definition, is_partitioned=row.is_partitioned),
        )
