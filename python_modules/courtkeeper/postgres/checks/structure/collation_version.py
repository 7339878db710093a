"""Collations whose version is not the one that indexes were built with."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check

_NAMED = 20  # above that, all indexes of the database are built again in one statement


class ChangedCollation(msgspec.Struct, frozen=True):
    """A collation, or the database's own (`is_database`), with the indexes that are sorted by it.

    Those of `excluding` belong to exclusion constraints: they cannot be built CONCURRENTLY.
    """

    name: str
    is_database: bool
    recorded: str
    actual: str | None
    indexes: tuple[str, ...]
    excluding: tuple[str, ...]
    cuts_partitions: bool


class CollationVersion(Check[ChangedCollation]):
    """Looks for collations that sort otherwise than when their indexes were built."""

    title = "collation version mismatches"
    row = ChangedCollation

    def judge(self, row: ChangedCollation) -> Finding:
        """Indexes are built again first; only then is the new version written down."""
        kind = "database" if row.is_database else "collation"
        served = "its text indexes" if row.is_database else f"{len(row.indexes)} indexes"
        return self.finding(
            row.name,
            Status.CRIT,
            f"The {kind} {row.name} was built with collation version {row.recorded}, the system now has "
            f"{row.actual or 'none'}: {served} may miss rows"
            f"{' and rows may be in the wrong partition' if row.cuts_partitions else ''}.",
            observed=row.actual or "",
            threshold=row.recorded,
            fix=f"{_rebuild(row)} ALTER {kind.upper()} {row.name} REFRESH "
            f"{'COLLATION ' if row.is_database else ''}VERSION;",
        )


def _rebuild(row: ChangedCollation) -> str:
    # REINDEX DATABASE CONCURRENTLY passes those of exclusion constraints over with a warning.
    locking = [f"REINDEX INDEX {name};" for name in row.excluding]
    if row.is_database:
        return " ".join([f"REINDEX DATABASE CONCURRENTLY {row.name};", *locking])
    if len(row.indexes) > _NAMED:
        return "REINDEX DATABASE CONCURRENTLY :DBNAME; -- psql's name of this database\n" + " ".join(locking)
    online = [f"REINDEX INDEX CONCURRENTLY {name};" for name in row.indexes if name not in row.excluding]
    return " ".join([*online, *locking])
