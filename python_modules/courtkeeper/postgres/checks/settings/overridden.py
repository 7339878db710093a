"""Settings that were changed by ALTER SYSTEM over what the file says."""

from __future__ import annotations

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Needs
from courtkeeper.postgres.declared import SettingsDeclared, shown


class Overridden(msgspec.Struct, frozen=True):
    """A setting, what postgresql.auto.conf says, and what the line of the file says."""

    name: str
    in_force: str
    written: str
    file: str
    line: int
    reset: str


class OverriddenSettings(SettingsDeclared, Check[Overridden]):
    """Looks for lines of the configuration that ALTER SYSTEM has put out of force."""

    title = "settings overridden by ALTER SYSTEM"
    row = Overridden
    needs = Needs(view="pg_file_settings")

    def judge(self, row: Overridden) -> Finding:
        """A warning: who reads the file is misled."""
        return self.finding(
            row.name,
            Status.WARN,
            f"{row.file}:{row.line} says {row.name} = {shown(row.name, row.written)}, but "
            f"postgresql.auto.conf (ALTER SYSTEM) says {shown(row.name, row.in_force)} and wins.",
            observed=shown(row.name, row.in_force),
            threshold=shown(row.name, row.written),
            fix=f"{row.reset} -- or write the value into the file",
            undo=self.alter(row.name, row.in_force),
        )
