"""Settings on which the durability of committed data rests."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class UnsafeSetting(msgspec.Struct, frozen=True):
    """A setting, what it is set to, and what that may cost."""

    name: str
    setting: str
    severe: bool
    why: str
    fix: str
    undo: str


class Durability(Check[UnsafeSetting]):
    """Looks for settings that trade committed data for speed or hide damage."""

    title = "settings that risk committed data"
    row = UnsafeSetting

    def judge(self, row: UnsafeSetting) -> Finding:
        """Critical where the cluster is at stake, a warning where a few commits are."""
        return self.finding(
            row.name,
            Status.CRIT if row.severe else Status.WARN,
            f"{row.name} is {row.setting}: {row.why}.",
            observed=row.setting,
            threshold="on" if row.setting == "off" else "off",
            fix=row.fix,
            undo=row.undo,
        )
