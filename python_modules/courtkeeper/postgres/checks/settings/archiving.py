"""Whether WAL goes anywhere else than to this server's disk."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs


class Archiving(msgspec.Struct, frozen=True):
    """The two settings that decide it."""

    wal_level: str
    archive_mode: str


class WalArchiving(Check[Archiving]):
    """Looks for a server whose WAL nobody keeps."""

    title = "servers that keep no WAL elsewhere"
    row = Archiving
    needs = Needs(monitor=True)

    def judge(self, row: Archiving) -> Finding:
        """A warning: how much may be lost is the owner's decision."""
        minimal = row.wal_level == "minimal"
        level = "ALTER SYSTEM SET wal_level = 'replica'; " if minimal else ""
        return self.finding(
            "wal_level" if minimal else "archive_mode",
            Status.WARN,
            "wal_level is minimal: no online backup can be taken and no replica built."
            if minimal
            else "archive_mode is off and nobody receives this server's WAL: after a loss, everything since "
            "the last backup is gone.",
            observed=row.wal_level if minimal else row.archive_mode,
            threshold="replica" if minimal else "on",
            fix=f"{level}ALTER SYSTEM SET archive_mode = 'on'; "
            "-- with an archive_command; then restart the server",
            undo=("ALTER SYSTEM RESET wal_level; " if minimal else "") + "ALTER SYSTEM RESET archive_mode;",
        )
