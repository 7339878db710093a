"""Checkpoints that come before their time."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class Checkpoints(msgspec.Struct, frozen=True):
    """How many checkpoints came by the clock and by force; `share` of the forced in %; twice_mb of WAL."""

    timed: int
    forced: int
    share: float
    max_wal_size: str
    twice_mb: int


class ForcedCheckpoints(Check[Checkpoints]):
    """Looks for a server whose max_wal_size is too small for its writes."""

    title = "shortages of max_wal_size"
    row = Checkpoints
    limits: ClassVar = {
        "warn": Limit(
            50, "% of the checkpoints", "checkpoint_timeout should set the pace (manual, WAL Configuration)"
        ),
        "min_checkpoints": Limit(20, "checkpoints", "so that a restart or a backup does not count"),
    }

    def judge(self, row: Checkpoints) -> Finding:
        """More room for WAL, so that the clock decides."""
        return self.finding(
            "max_wal_size",
            Status.WARN,
            f"{row.forced:,} of {row.forced + row.timed:,} checkpoints were forced: max_wal_size "
            f"({row.max_wal_size}) is too small for what is written, or somebody asks for checkpoints.",
            observed=row.share,
            threshold=self.limit["warn"],
            unit="%",
            fix=f"ALTER SYSTEM SET max_wal_size = '{row.twice_mb}MB'; SELECT pg_reload_conf();",
            undo=f"ALTER SYSTEM SET max_wal_size = '{row.max_wal_size}'; SELECT pg_reload_conf();",
        )
