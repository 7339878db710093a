"""Replicas that are behind."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit, Needs


class Replica(msgspec.Struct, frozen=True):
    """A replica and how far its replay is behind: MB of WAL, and s where the server knows it (else 0)."""

    replica: str
    address: str
    state: str
    megabytes: float
    seconds: float


class ReplicaLag(Check[Replica]):
    """Looks for replicas whose replay is far behind."""

    title = "lagging replicas"
    row = Replica
    limits: ClassVar = {
        "warn": Limit(50, "MB", "pg-healthcheck"),
        "crit": Limit(500, "MB", "pg-healthcheck"),
        "warn_seconds": Limit(60, "s", "as for a long query (pg-healthcheck)"),
        "crit_seconds": Limit(300, "s", "as for a long query (pg-healthcheck)"),
    }
    needs = Needs(monitor=True)

    def judge(self, row: Replica) -> Finding:
        """Judge by what is worse, bytes or time."""
        late = row.seconds >= self.limit["warn_seconds"]
        very_late = row.seconds >= self.limit["crit_seconds"]
        by_time = Status.CRIT if very_late else Status.WARN if late else Status.OK
        by_size = self.graded(row.megabytes)
        status = max(by_time, by_size, key=lambda status: status.severity)
        sized = by_size.severity >= by_time.severity
        return self.finding(
            row.replica,
            status,
            f"The replica {row.replica} ({row.address}, {row.state}) is {row.megabytes:,.1f} MB of WAL "
            f"and {row.seconds:,.0f} s behind.",
            observed=round(row.megabytes if sized else row.seconds, 1),
            threshold=self.limit[status if sized else f"{status}_seconds"],
            unit="MB" if sized else "s",
            fix="-- on the replica: SELECT pg_is_wal_replay_paused(); end what conflicts with its replay "
            "(activity.long_query), then look at its disk and at the network between the two",
        )
