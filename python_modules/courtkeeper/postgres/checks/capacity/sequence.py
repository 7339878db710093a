"""Sequences near the end of what their column can hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.asking import Unanswered, ask
from courtkeeper.postgres.check import Check, Context, Limit
from courtkeeper.postgres.server import Server

_NAMED = 5  # as many as a person reads


class FullSequence(msgspec.Struct, frozen=True):
    """A sequence and the column that it fills; `highest` is the least of what both can hold.

    `last_value` is 0 where the sequence is not `readable` by the role.
    """

    sequence_name: str
    table_name: str
    column_name: str
    type_name: str
    readable: bool
    last_value: int
    highest: int


class SequenceExhaustion(Check[FullSequence]):
    """Looks for sequences that will soon run out of numbers."""

    title = "sequences near their end"
    row = FullSequence
    limits: ClassVar = {
        "warn": Limit(75, "% of the column's type", "time enough to plan a change of type"),
        "crit": Limit(90, "% of the column's type", "PgHero"),
    }

    def search(self, context: Context) -> Iterator[Finding]:
        """Ask; sequences that the role may not read leave the question open, and say which right helps."""
        try:
            rows = ask(context, self.sql(context.server), self.parameters(), self.row)
        except Unanswered as missing:
            summary = f"Sequences near their end were not looked for: {missing.why}."
            yield self.finding(context.server.database, missing.status, summary, fix=missing.fix)
            return
        yield from self.findings([row for row in rows if row.readable])
        if hidden := sorted({row.sequence_name for row in rows if not row.readable}):
            yield self.unread(context.server, hidden)

    def unread(self, server: Server, names: list[str]) -> Finding:
        """Return the finding on all sequences that the role may not read."""
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        # The role that may read everything came with version 14.
        right = "pg_read_all_data" if server.version >= 14 else f"SELECT ON SEQUENCE {', '.join(names)}"
        return self.finding(
            server.database,
            Status.SKIPPED,
            f"{len(names)} sequences were not looked at, as the role {server.role} may not read them: "
            f"{', '.join(names[:_NAMED])}{more}.",
            observed=len(names),
            unit="sequences",
            fix=f"{server.grant(right)} -- or less",
        )

    def judge(self, row: FullSequence) -> Finding:
        """Judge a sequence by how much of it is used."""
        used = 100 * row.last_value / row.highest
        status = self.graded(used)
        return self.finding(
            row.sequence_name,
            status,
            f"The sequence {row.sequence_name} has used {used:.1f} % of what {row.table_name}."
            f"{row.column_name} ({row.type_name}) can hold: {row.highest - row.last_value:,} are left.",
            observed=round(used, 2),
            threshold=self.limit.get(status),
            unit="%",
            fix=f"ALTER SEQUENCE {row.sequence_name} AS bigint; "
            f"ALTER TABLE {row.table_name} ALTER COLUMN {row.column_name} TYPE bigint; "
            "-- rewrites the table under an exclusive lock: plan it",
        )
