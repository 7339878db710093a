"""For how long the usage statistics have counted."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Limit


class StatisticsAge(msgspec.Struct, frozen=True):
    """A database and the days that its statistics have counted."""

    database: str
    days: float


class YoungStatistics(Check[StatisticsAge]):
    """Looks for statistics that are too young to call an index unused."""

    title = "usage statistics too young to judge by"
    row = StatisticsAge
    limits: ClassVar = {"days": Limit(7, "days", "as for unused indexes: a week holds every weekly job")}

    def judge(self, row: StatisticsAge) -> Finding:
        """Not a fault of the server, but what rests on it was not looked at: `skipped`."""
        return self.finding(
            row.database,
            Status.SKIPPED,
            f"The usage statistics of {row.database} have counted for {row.days:.1f} days only: what is "
            "never used or rarely vacuumed cannot be judged yet.",
            observed=round(row.days, 2),
            threshold=self.limit["days"],
            unit="days",
            fix=f"-- wait {max(self.limit['days'] - row.days, 0):.1f} days, and reset nothing meanwhile",
        )
