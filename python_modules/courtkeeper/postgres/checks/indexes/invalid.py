"""Invalid indexes: writers pay for them and no query may use them (pg-index-health)."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class InvalidIndex(msgspec.Struct, frozen=True):
    """An index that is not valid. `replaces`: of a leftover of REINDEX CONCURRENTLY, the index beside it.

    One that `excludes` belongs to an exclusion constraint, and cannot be built CONCURRENTLY.
    """

    index_name: str
    table_name: str
    bytes: int
    ready: bool
    excludes: bool
    replaces: str | None


class Invalid(Check[InvalidIndex]):
    """Looks for indexes that are not valid and are not being built."""

    title = "invalid indexes"
    row = InvalidIndex

    def judge(self, row: InvalidIndex) -> Finding:
        """Leftovers are dropped, others are built again."""
        online = "" if row.excludes and not row.replaces else " CONCURRENTLY"
        verb = f"{'DROP' if row.replaces else 'REINDEX'} INDEX{online}"
        kind = f"what REINDEX CONCURRENTLY left beside {row.replaces}" if row.replaces else "invalid"
        return self.finding(
            row.index_name,
            Status.CRIT,
            f"The index {row.index_name} on {row.table_name} is {kind}: it costs every write "
            "and serves no query.",
            observed=row.bytes,
            unit="bytes",
            fix=f"{verb} {row.index_name};{'' if online else ' -- writers wait meanwhile'}",
        )
