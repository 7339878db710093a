"""Tables that are open to everybody."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class OpenTable(msgspec.Struct, frozen=True):
    """A table, view or sequence and what PUBLIC may do with it."""

    table_name: str
    kind: str
    privileges: list[str]


class PublicTables(Check[OpenTable]):
    """Looks for rights on tables that were granted to every role."""

    title = "tables open to everybody"
    row = OpenTable

    def judge(self, row: OpenTable) -> Finding:
        """Reading is a warning, writing critical."""
        rights = ", ".join(row.privileges)
        return self.finding(
            row.table_name,
            Status.WARN if set(row.privileges) <= {"SELECT", "USAGE", "REFERENCES"} else Status.CRIT,
            f"Every role that may enter the database has {rights} on {row.table_name}.",
            observed=rights,
            fix=f"REVOKE {rights} ON {row.kind} {row.table_name} FROM PUBLIC;",
            undo=f"GRANT {rights} ON {row.kind} {row.table_name} TO PUBLIC;",
        )
