"""Indexes: what a failed build left behind is built again or dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Context, choose, fetch
from courtkeeper.postgres.checks.indexes.invalid import InvalidIndex
from courtkeeper.postgres.upkeep.duty import Duty
from courtkeeper.postgres.upkeep.task import Task


class InvalidIndexes(Duty[InvalidIndex]):
    """Invalid indexes are built again, leftovers of REINDEX CONCURRENTLY are dropped."""

    name = "invalid_indexes"
    asks = "indexes.invalid"

    def consider(self, context: Context, row: InvalidIndex) -> Iterator[Task | Finding]:
        """What cannot be built while others write is left to a person, who knows a quiet hour."""
        finding = self.check.judge(row)
        if finding and row.excludes and not row.replaces:
            why = "it belongs to an exclusion constraint, and can only be built again while writers wait"
            yield msgspec.structs.replace(
                finding, summary=f"{finding.summary} It is not built by the upkeep: {why}."
            )
            return
        yield from super().consider(context, row)

    def is_due(self, context: Context, task: Task) -> bool:
        """Whether it is still there and invalid: somebody else's rebuild may have ended meanwhile."""
        return self.again(context, task) is not None

    def task(self, row: InvalidIndex, finding: Finding) -> Task:
        """Both without a lock that readers or writers wait for."""
        if row.replaces:
            return Task(
                kind="drop_index",
                rank=1,
                text=f"drop {row.index_name}, a leftover of REINDEX CONCURRENTLY",
                statements=(f"DROP INDEX CONCURRENTLY {row.index_name}",),
                found=finding,
                relation=row.index_name,
                undo=f"-- nothing to take back: {row.replaces} has the same definition",
            )
        return Task(
            kind="reindex",
            rank=2,
            text=f"build the invalid index {row.index_name} again",
            statements=(f"REINDEX INDEX CONCURRENTLY {row.index_name}",),
            found=finding,
            relation=row.table_name,  # what has to be read; the index itself may be empty
            disk=1.0,
        )

    def leftovers(self, context: Context, task: Task) -> list[str]:
        """Return how to drop what a failed rebuild of this index left, and nobody else's."""
        return dropping_leftovers(self.rows(context), task.subject)


def leftovers_of(context: Context, name: str) -> list[str]:
    """Return how to drop what a failed rebuild of the index `name` left."""
    (check,) = choose(names=["indexes.invalid"])
    with context.connection.transaction():
        return dropping_leftovers(fetch(context, check), name)


def dropping_leftovers(rows: Sequence[InvalidIndex], name: str) -> list[str]:
    """Return how to drop the invalid indexes among `rows` that were to replace the index `name`."""
    return [f"DROP INDEX CONCURRENTLY {row.index_name}" for row in rows if row.replaces == name]
