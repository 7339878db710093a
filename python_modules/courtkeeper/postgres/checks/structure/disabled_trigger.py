"""Triggers that are switched off, those of foreign keys above all."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check


class SilentTrigger(msgspec.Struct, frozen=True):
    """A trigger of `table_name`, or all triggers of a constraint; `statements` switch them on."""

    table_name: str
    name: str
    is_constraint: bool
    statements: tuple[str, ...]


class DisabledTrigger(Check[SilentTrigger]):
    """Looks for triggers that do not fire."""

    title = "disabled triggers"
    row = SilentTrigger

    def judge(self, row: SilentTrigger) -> Finding:
        """A constraint that nobody enforces is worse than a trigger that somebody wrote."""
        subject = f"{row.table_name}.{row.name}"
        undo = " ".join(line.replace(" ENABLE TRIGGER ", " DISABLE TRIGGER ") for line in row.statements)
        fix = " ".join(row.statements)
        if row.is_constraint:
            summary = (
                f"The foreign key {row.name} of {row.table_name} is not enforced: its triggers are disabled."
            )
            return self.finding(
                subject,
                Status.CRIT,
                summary,
                fix=f"{fix} -- as a superuser; then look for what came in (data.orphans)",
                undo=undo,
            )
        summary = f"The trigger {row.name} on {row.table_name} is disabled: what it does is not done."
        return self.finding(subject, Status.WARN, summary, fix=fix, undo=undo)
