"""A paused replay: the replica receives, shows old data, and fills its disk."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class Paused(msgspec.Struct, frozen=True):
    """That replay is paused, and how much WAL waits for it."""

    paused: bool
    megabytes: float


class PausedReplay(Check[Paused]):
    """Looks, on a replica, for a replay that was paused and never resumed."""

    title = "paused replays"
    row = Paused

    def judge(self, row: Paused) -> Finding:
        """Any pause is told."""
        return self.finding(
            "replay",
            Status.WARN,
            f"The replay of this replica is paused; {row.megabytes:,.1f} MB of WAL wait for it.",
            observed=round(row.megabytes, 1),
            unit="MB",
            fix="SELECT pg_wal_replay_resume();",
            undo="SELECT pg_wal_replay_pause();",
        )
