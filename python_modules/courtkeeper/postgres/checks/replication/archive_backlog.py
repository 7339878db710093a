"""WAL files that wait to be archived: none of them may be recycled, and none is safe yet."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit, Needs


class Backlog(msgspec.Struct, frozen=True):
    """How many files wait, and since when the oldest does."""

    files: int
    oldest: datetime


class ArchiveBacklog(Check[Backlog]):
    """Looks for more waiting files than an archiver that keeps up leaves."""

    title = "segments that wait for the archive"
    row = Backlog
    limits: ClassVar = {
        "warn": Limit(100, "files", "pg-healthcheck"),
        "crit": Limit(500, "files", "pg-healthcheck"),
    }
    needs = Needs(monitor=True)

    def judge(self, row: Backlog) -> Finding:
        """Judge by their number."""
        status = self.graded(row.files)
        return self.finding(
            "archive",
            status,
            f"{row.files:,} WAL files wait to be archived, the oldest since {row.oldest:%Y-%m-%d %H:%M} UTC.",
            observed=row.files,
            threshold=self.limit[status],
            unit="files",
            fix="-- mend archive_command (the server's log says why it fails) and make room in the archive; "
            "the server then works the files off by itself",
        )
