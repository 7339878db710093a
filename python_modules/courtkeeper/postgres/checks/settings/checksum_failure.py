"""Checksum failures: the disk gave back something else than was written."""

from __future__ import annotations

from datetime import datetime

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class ChecksumFailure(msgspec.Struct, frozen=True):
    """How many reads failed since the statistics began, and when the last did."""

    database: str
    failures: int
    last_failure: datetime | None


class ChecksumFailures(Check[ChecksumFailure]):
    """Looks for databases in which a page failed its checksum."""

    title = "checksum failures"
    row = ChecksumFailure

    def judge(self, row: ChecksumFailure) -> Finding:
        """Any is critical: where one page is damaged, others may be."""
        last = f", the last at {row.last_failure:%Y-%m-%d %H:%M} UTC" if row.last_failure else ""
        return self.finding(
            row.database,
            Status.CRIT,
            f"Pages of {row.database} failed their checksum {row.failures:,} "
            f"time{'s' if row.failures > 1 else ''}{last}: the storage has damaged data.",
            observed=row.failures,
            threshold=0,
            unit="failures",
            fix="SELECT pg_stat_reset(); -- in that database, and only after the group corruption has named "
            "the damaged object and it is restored: it clears the counter, and the usage statistics",
        )
