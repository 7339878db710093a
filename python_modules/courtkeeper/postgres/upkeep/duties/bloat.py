"""Bloat: what pgstattuple confirms, never what is only estimated."""

from __future__ import annotations

from collections.abc import Iterator

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.asking import Unanswered
from courtkeeper.postgres.bloat import Bloat, Swollen
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.upkeep.duties.indexes import leftovers_of
from courtkeeper.postgres.upkeep.duty import Duty
from courtkeeper.postgres.upkeep.task import Task


class _Measured(Duty[Swollen]):
    """What the two duties share: each candidate is measured before and after."""

    check: Bloat

    def look(self, context: Context, row: Swollen) -> Finding | None:
        """Return the check's finding of one relation, measured now."""
        try:
            waste = self.check.measure(context, row).waste
        except Unanswered as missing:
            return self.check.unconfirmed(row, missing)
        status = self.check.graded(waste)
        return None if status is Status.OK else self.check.confirmed(row, waste, status)

    def consider(self, context: Context, row: Swollen) -> Iterator[Task | Finding]:
        """Act on what was measured; say what could not be."""
        finding = self.look(context, row)
        if finding and finding.status is Status.UNKNOWN:
            yield finding
        elif finding:
            yield from self.mend(row, finding)

    def mend(self, row: Swollen, finding: Finding) -> Iterator[Task | Finding]:
        """Yield what is done about a relation that is bloated."""
        yield self.task(row, finding)

    def again(self, context: Context, task: Task) -> Finding | None:
        """Measure this relation alone again."""
        for row in self.rows(context):
            if row.name == task.subject:
                return self.look(context, row)
        return None


class BloatedIndexes(_Measured):
    """Bloated indexes are built again beside the old."""

    name = "bloated_indexes"
    asks = "indexes.bloat"

    def task(self, row: Swollen, finding: Finding) -> Task:
        """Build it beside the old one, which is at most as big."""
        return Task(
            kind="reindex",
            rank=7,
            text=f"build the bloated index {row.name} again",
            statements=(f"REINDEX INDEX CONCURRENTLY {row.name}",),
            found=finding,
            relation=row.name,
            disk=1.0,
        )

    def leftovers(self, context: Context, task: Task) -> list[str]:
        """Return how to drop what a failed rebuild left."""
        return leftovers_of(context, task.subject)


class BloatedTables(_Measured):
    """Bloated tables are named; to make them small in the server itself would lock them."""

    name = "bloated_tables"
    asks = "capacity.table_bloat"

    def mend(self, _row: Swollen, finding: Finding) -> Iterator[Task | Finding]:
        """Hand the check's finding on."""
        yield finding
