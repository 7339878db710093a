"""Statements that run for long."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit, Needs
from courtkeeper.postgres.querytext import shape


class LongQuery(msgspec.Struct, frozen=True):
    """A running statement; `seconds` since it began, `cancel` cancels it and no other."""

    pid: int
    database: str
    role: str
    application: str
    seconds: float
    query: str
    cancel: str


class LongQueries(Check[LongQuery]):
    """Looks for statements that have been running for longer than a user waits."""

    title = "long-running queries"
    row = LongQuery
    limits: ClassVar = {
        "warn": Limit(60, "s", "pg-healthcheck"),
        "crit": Limit(300, "s", "pg-healthcheck"),
    }
    needs = Needs(monitor=True)

    def judge(self, row: LongQuery) -> Finding:
        """Judge by the time since the statement began."""
        status = self.graded(row.seconds)
        by = f" ({row.application})" if row.application else ""
        return self.finding(
            f"pid {row.pid}",
            status,
            f"{row.role}{by} has been running a query in {row.database} for {row.seconds:,.0f} s: "
            f"{shape(row.query)}",
            observed=round(row.seconds, 1),
            threshold=self.limit[status],
            unit="s",
            fix=row.cancel,
        )
