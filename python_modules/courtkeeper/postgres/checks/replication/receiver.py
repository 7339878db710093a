"""The WAL receiver of a replica."""

from __future__ import annotations

from datetime import datetime

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs


class Receiver(msgspec.Struct, frozen=True):
    """The state of a receiver that does not stream."""

    status: str
    sender: str | None
    last_replayed: datetime | None


class WalReceiver(Check[Receiver]):
    """Looks, on a replica, for a receiver that is down."""

    title = "broken WAL receivers"
    row = Receiver
    needs = Needs(monitor=True)

    def judge(self, row: Receiver) -> Finding:
        """Say up to when the replica knows the data."""
        until = f"{row.last_replayed:%Y-%m-%d %H:%M:%S} UTC" if row.last_replayed else "an unknown time"
        source = f" from {row.sender}" if row.sender else ""
        return self.finding(
            "WAL receiver",
            Status.CRIT,
            f"This replica does not stream{source} (its WAL receiver is {row.status}): "
            f"it holds the data as of {until}.",
            observed=row.status,
            threshold="streaming",
            fix="-- see that the primary runs, that primary_conninfo and pg_hba.conf let the replica in and "
            "that the WAL it needs is still there (the replica's log says which); else build it again",
        )
