"""Replication slots: a forgotten one keeps WAL until the disk is full."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit, Needs


class Slot(msgspec.Struct, frozen=True):
    """A slot and the WAL that it holds; `inactive_s` is None where the server cannot tell (before 17)."""

    slot_name: str
    slot_type: str
    active: bool
    inactive_s: float | None
    wal_status: str
    gigabytes: float
    drop_it: str
    create_again: str


class ReplicationSlots(Check[Slot]):
    """Looks for slots that nobody reads, that hold much WAL, or that have lost theirs."""

    title = "forgotten or overfull replication slots"
    row = Slot
    limits: ClassVar = {
        "warn": Limit(5, "GB of WAL", "pg-healthcheck"),
        "crit": Limit(20, "GB of WAL", "pg-healthcheck"),
        "inactive": Limit(300, "s (from Postgres 17 on)", "Courtkeeper: a replica restarts in less"),
    }
    needs = Needs(monitor=True)

    def judge(self, row: Slot) -> Finding:
        """A slot that lost its WAL is of no use; one that holds much is a danger; others are forgotten."""
        status = max(self.graded(row.gigabytes), Status.WARN, key=lambda status: status.severity)
        if row.wal_status in ("lost", "unreserved"):
            status = Status.CRIT
        since = f" for {row.inactive_s:,.0f} s" if row.inactive_s is not None else ""
        state = "is active" if row.active else f"has been inactive{since}" if since else "is inactive"
        held = f"holds {row.gigabytes:,.2f} GB of WAL"
        if row.wal_status == "lost":
            held = "has lost the WAL that its consumer needs: that one has to be built again"
        elif row.wal_status == "unreserved":
            held += ", more than max_slot_wal_keep_size allows: the next checkpoint may take it away"
        let = "-- let its consumer catch up or raise max_slot_wal_keep_size; without a consumer: "
        return self.finding(
            row.slot_name,
            status,
            f"The {row.slot_type} replication slot {row.slot_name} {state} and {held}.",
            observed=round(row.gigabytes, 3),
            threshold=self.limit["crit" if row.gigabytes >= self.limit["crit"] else "warn"],
            unit="GB of WAL",
            fix=f"{let}{row.drop_it}" if row.active else row.drop_it,
            undo="" if row.active else f"{row.create_again} -- it begins anew: what it held is gone",
        )
