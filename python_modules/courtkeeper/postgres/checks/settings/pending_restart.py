"""Settings that were changed and are not in force."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs


class PendingSetting(msgspec.Struct, frozen=True):
    """A setting and the value that it still has."""

    name: str
    setting: str
    unit: str


class PendingRestart(Check[PendingSetting]):
    """Looks for settings whose change needs a restart that has not been made."""

    title = "settings that wait for a restart"
    row = PendingSetting
    needs = Needs(monitor=True)

    def judge(self, row: PendingSetting) -> Finding:
        """Any is told: the next restart, perhaps an unplanned one, brings it."""
        unit = f" of {row.unit}" if row.unit[:1].isdigit() else f" {row.unit}" if row.unit else ""
        return self.finding(
            row.name,
            Status.WARN,
            f"{row.name} was changed, but the server still runs with {row.setting or 'nothing'}{unit}: "
            "the next restart brings the new value.",
            observed=row.setting,
            unit=row.unit,
            fix="-- restart the server at a quiet time",
        )
