"""Sequences near the end of what their column can hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.asking import Unanswered, ask
from courtkeeper.postgres.check import Check, Context, Limit


class FullSequence(msgspec.Struct, frozen=True):
    """A sequence and the column that it fills; `highest` is the least of what both can hold."""

    sequence_name: str
    table_name: str
    column_name: str
    type_name: str
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
        """Ask; a sequence that the role may not read leaves the question open, and says which right helps."""
        try:
            rows = ask(context, self.sql(context.server), self.parameters(), self.row)
        except Unanswered as missing:
            summary = f"Sequences near their end were not looked for: {missing.why}."
            yield self.finding(context.server.database, missing.status, summary, fix=missing.fix)
        else:
            yield from self.findings(rows)

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
