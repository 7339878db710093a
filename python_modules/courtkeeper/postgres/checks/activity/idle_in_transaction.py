"""Sessions that are idle in a transaction."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit, Needs
from courtkeeper.postgres.querytext import shape


class IdleSession(msgspec.Struct, frozen=True):
    """A session idle in a transaction for `seconds`; `query` is its last statement."""

    pid: int
    database: str
    role: str
    application: str
    seconds: float
    query: str
    terminate: str


class IdleInTransaction(Check[IdleSession]):
    """Looks for sessions that hold a transaction open and do nothing in it."""

    title = "sessions idle in a transaction"
    row = IdleSession
    limits: ClassVar = {
        "warn": Limit(30, "s", "pg-healthcheck"),
        "crit": Limit(300, "s", "as for a long query (pg-healthcheck)"),
    }
    needs = Needs(monitor=True)

    def judge(self, row: IdleSession) -> Finding:
        """Judge by the time since it did something."""
        status = self.graded(row.seconds)
        by = f" ({row.application})" if row.application else ""
        return self.finding(
            f"pid {row.pid}",
            status,
            f"{row.role}{by} has sat idle in a transaction in {row.database} for {row.seconds:,.0f} s and "
            f"keeps its locks; the last statement was {shape(row.query)}",
            observed=round(row.seconds, 1),
            threshold=self.limit[status],
            unit="s",
            fix=row.terminate,
        )
