"""Write-ahead log that is kept instead of recycled."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit, Needs
from courtkeeper.postgres.sizes import size


class WalDirectory(msgspec.Struct, frozen=True):
    """What pg_wal holds, what it may, `used` in %, and the slot that reaches back farthest."""

    bytes: int
    files: int
    allowed: int
    used: float
    oldest_slot: str | None


class WalDisk(Check[WalDirectory]):
    """Looks for a pg_wal that outgrows its settings."""

    title = "pg_wal directories beyond their settings"
    row = WalDirectory
    limits: ClassVar = {
        "warn": Limit(
            200, "% of max_wal_size + wal_keep_size", "max_wal_size is soft (manual), but not by this much"
        ),
        "crit": Limit(500, "% of max_wal_size + wal_keep_size", "somebody holds it, and it grows"),
    }
    needs = Needs(monitor=True)

    def judge(self, row: WalDirectory) -> Finding:
        """Name who may hold it."""
        status = self.graded(row.used)
        holder = f"; the oldest is kept for {row.oldest_slot}" if row.oldest_slot else ""
        return self.finding(
            "pg_wal",
            status,
            f"pg_wal holds {size(row.bytes)} in {row.files} files, {row.used:.0f} % of what max_wal_size and "
            f"wal_keep_size allow{holder}.",
            observed=round(row.used, 1),
            threshold=self.limit.get(status),
            unit="%",
            fix="SELECT slot_name, active, restart_lsn FROM pg_replication_slots ORDER BY restart_lsn; "
            "-- drop the slot that nobody needs (pg_drop_replication_slot), or mend the archive",
        )
