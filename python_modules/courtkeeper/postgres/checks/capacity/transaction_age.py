"""How far the transaction ids are from their end (check_postgres)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Check, Limit


class OldDatabase(msgspec.Struct, frozen=True):
    """A database, the age of its oldest transaction id and how many are left, in transactions."""

    database_name: str
    age: int
    remaining: int


class TransactionAge(Check[OldDatabase]):
    """Looks for databases that come near the wraparound of transaction ids."""

    title = "databases near transaction id wraparound"
    row = OldDatabase
    limits: ClassVar = {
        "warn": Limit(1_300_000_000, "transactions", "check_postgres"),
        "crit": Limit(1_400_000_000, "transactions", "check_postgres"),
    }

    def judge(self, row: OldDatabase) -> Finding:
        """Freezing in that database gives the ids back."""
        status = self.graded(row.age)
        return self.finding(
            row.database_name,
            status,
            f"The oldest transaction id of {row.database_name} is {row.age:,} transactions old: after "
            f"{row.remaining:,} more the server takes no writes.",
            observed=row.age,
            threshold=self.limit.get(status),
            unit="transactions",
            fix=f"VACUUM (FREEZE); -- connected to {row.database_name}; first end what holds old "
            "transactions (activity)",
        )
