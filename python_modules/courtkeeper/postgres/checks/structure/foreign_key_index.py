"""Foreign keys without an index (pg-index-health)."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class BareForeignKey(msgspec.Struct, frozen=True):
    """A foreign key of `table_name` to `parent_name` that no index serves, and the index that would."""

    table_name: str
    constraint_name: str
    column_names: str
    parent_name: str
    concurrently: str
    new_index: str
    new_index_name: str


class ForeignKeyIndex(Check[BareForeignKey]):
    """Looks for foreign keys whose columns lead no index."""

    title = "foreign keys without an index"
    row = BareForeignKey

    def judge(self, row: BareForeignKey) -> Finding:
        """Name the columns and the index that is missing."""
        return self.finding(
            f"{row.table_name}.{row.constraint_name}",
            Status.WARN,
            f"No index of {row.table_name} begins with {row.column_names}: every delete or update of a key "
            f"in {row.parent_name} reads the whole table.",
            fix=f"CREATE INDEX {row.concurrently}{row.new_index} ON {row.table_name} ({row.column_names});",
            undo=f"DROP INDEX {row.concurrently}{row.new_index_name};",
        )
