"""Reads that go past the server's cache (PgHero)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class CacheUse(msgspec.Struct, frozen=True):
    """A database's blocks, found in the cache and not; `rate` in %; shared_buffers, and twice that in kB."""

    database_name: str
    hits: int
    reads: int
    rate: float
    buffers: str
    twice_kb: int


class CacheHit(Check[CacheUse]):
    """Looks for a database that does not fit its cache."""

    title = "databases that outgrew the cache"
    row = CacheUse
    limits: ClassVar = {
        "warn": Limit(99, "% of the blocks found in the cache", "PgHero"),
        "min_blocks": Limit(100_000, "blocks", "a cold start should not count"),
    }

    def judge(self, row: CacheUse) -> Finding:
        """More cache, or queries that read less."""
        return self.finding(
            row.database_name,
            Status.WARN,
            f"{row.rate:.1f} % of the blocks that {row.database_name} asked for were in shared_buffers "
            f"({row.buffers}); {row.reads:,} were not.",
            observed=row.rate,
            threshold=self.limit["warn"],
            unit="%",
            fix=f"ALTER SYSTEM SET shared_buffers = '{row.twice_kb}kB'; SELECT pg_reload_conf(); "
            "-- takes effect at the next restart; not over 25 to 40 % of the memory",
            undo=f"ALTER SYSTEM SET shared_buffers = '{row.buffers}'; SELECT pg_reload_conf();",
        )
