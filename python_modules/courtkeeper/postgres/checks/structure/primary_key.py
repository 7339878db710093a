"""Tables without a primary key (pg-index-health): advice, because choosing a key is the owner's."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class KeylessTable(msgspec.Struct, frozen=True):
    """A table without a primary key. `index_name`: a unique index that could become it."""

    table_name: str
    estimated_rows: int
    index_name: str | None


class PrimaryKey(Check[KeylessTable]):
    """Looks for tables without a primary key."""

    title = "tables without a primary key"
    row = KeylessTable

    def judge(self, row: KeylessTable) -> Finding:
        """An index that is there costs nothing; a new column rewrites the table."""
        fix = f"ALTER TABLE {row.table_name} ADD PRIMARY KEY USING INDEX {row.index_name};"
        if row.index_name is None:
            fix = (
                f"ALTER TABLE {row.table_name} ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY "
                "PRIMARY KEY; -- rewrites the table under an exclusive lock; better: a key that is there"
            )
        return self.finding(
            row.table_name,
            Status.WARN,
            f"The table {row.table_name} has no primary key: none of its rows can be named, replicated "
            "singly or repacked.",
            fix=fix,
        )
