"""Sequences near the end of what their column can hold."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit


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
            threshold=self.limit[status],
            unit="%",
            fix=f"ALTER TABLE {row.table_name} ALTER COLUMN {row.column_name} TYPE bigint; "
            "-- rewrites the table under an exclusive lock: plan it",
        )
