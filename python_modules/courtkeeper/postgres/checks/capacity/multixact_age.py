"""How far the multixact ids are from their end (pg-healthcheck)."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class OldMultixacts(msgspec.Struct, frozen=True):
    """A database and the age of its oldest multixact id, in ids; `is_current`: the one that was asked."""

    database_name: str
    age: int
    is_current: bool


class MultixactAge(Check[OldMultixacts]):
    """Looks for databases that come near the wraparound of multixact ids."""

    title = "databases near multixact id wraparound"
    row = OldMultixacts
    limits: ClassVar = {"crit": Limit(1_500_000_000, "multixact ids", "pg-healthcheck")}

    def judge(self, row: OldMultixacts) -> Finding:
        """Freezing in that database gives the ids back."""
        return self.finding(
            row.database_name,
            Status.CRIT,
            f"The oldest multixact id of {row.database_name} is {row.age:,} ids old: at 2,147,483,648 nobody "
            "can lock a row.",
            observed=row.age,
            threshold=self.limit["crit"],
            unit="multixact ids",
            fix=f"VACUUM (FREEZE); -- connected to {row.database_name}; first end what holds old "
            "transactions (activity)",
        )
