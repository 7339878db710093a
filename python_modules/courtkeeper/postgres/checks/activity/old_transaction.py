"""Old transactions: while one is open, vacuum can clean nothing that died after it began."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit, Needs
from courtkeeper.postgres.querytext import shape


class OldTransaction(msgspec.Struct, frozen=True):
    """What holds back the horizon of vacuum, for `seconds` (where known) and `transactions`."""

    kind: str
    holder: str
    database: str
    role: str
    seconds: float | None
    transactions: int | None
    query: str
    release: str


class OldTransactions(Check[OldTransaction]):
    """Looks for what keeps vacuum from cleaning."""

    title = "old transactions that hold vacuum back"
    row = OldTransaction
    limits: ClassVar = {
        "warn": Limit(900, "s", "Courtkeeper: fifteen rounds of autovacuum (autovacuum_naptime is 1 min)"),
        "crit": Limit(3600, "s", "Courtkeeper: sixty rounds of autovacuum"),
        "transactions": Limit(50_000_000, "transactions", "the manual: vacuum_freeze_min_age"),
    }
    needs = Needs(monitor=True)

    def judge(self, row: OldTransaction) -> Finding:
        """Judge by time where the server knows it, else by the transactions begun since."""
        status = Status.OK if row.seconds is None else self.graded(row.seconds)
        by_time = status is not Status.OK
        if not by_time:
            status = Status.WARN
        since = [f"for {row.seconds:,.0f} s"] if row.seconds is not None else []
        if row.transactions:
            since.append(f"over {row.transactions:,} transaction{'s' if row.transactions > 1 else ''}")
        what = f"session {row.holder} of {row.role}" if row.kind == "session" else row.holder
        place = f" in {row.database}" if row.database != "-" else ""
        doing = f"; it runs or ran {shape(row.query)}" if row.query else ""
        return self.finding(
            row.holder,
            status,
            f"The {what}{place} has held vacuum back {' and '.join(since)}{doing}",
            observed=round(row.seconds or 0, 1) if by_time else row.transactions,
            threshold=self.limit[status] if by_time else self.limit["transactions"],
            unit="s" if by_time else "transactions",
            fix=row.release,
        )
