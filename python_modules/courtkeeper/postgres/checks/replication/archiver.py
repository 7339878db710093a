"""The WAL archiver: while it fails, no point in time can be restored."""

from __future__ import annotations

from datetime import datetime

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs


class Archiver(msgspec.Struct, frozen=True):
    """What the archiver's statistics say; `idle`: it is on and there is nothing for it to call."""

    failed_count: int
    last_failed_wal: str | None
    last_failed_time: datetime | None
    last_archived_time: datetime | None
    idle: bool


class ArchiverFailures(Check[Archiver]):
    """Looks for an archiver whose last try failed, or that was never told how to archive."""

    title = "failures of the WAL archiver"
    row = Archiver
    needs = Needs(monitor=True)

    def judge(self, row: Archiver) -> Finding:
        """Say since when, and what the last success was."""
        if row.idle:
            sentence = "archive_mode is on, but neither archive_command nor archive_library is set"
            fix = "-- set one: ALTER SYSTEM SET archive_command = '…'; SELECT pg_reload_conf();"
        else:
            last = f"{row.last_archived_time:%Y-%m-%d %H:%M} UTC" if row.last_archived_time else "never"
            sentence = (
                f"The archiver fails at {row.last_failed_wal} ({row.failed_count:,} failures, the last at "
                f"{row.last_failed_time:%Y-%m-%d %H:%M} UTC; last success: {last})"
            )
            fix = "-- mend archive_command: the server's log holds what it said"
        return self.finding(
            "archiver",
            Status.CRIT,
            f"{sentence}: WAL piles up and no point in time after the last success can be restored.",
            observed=row.failed_count,
            threshold=0,
            unit="failures",
            fix=fix,
        )
