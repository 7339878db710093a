"""Settings that were changed by ALTER SYSTEM over what the file says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Context, Needs
from courtkeeper.postgres.declared import SettingsDeclared, shown
from courtkeeper.postgres.performance.record import Record
from courtkeeper.postgres.settings import IntegritySettings


class Overridden(msgspec.Struct, frozen=True):
    """A setting, what postgresql.auto.conf says, and what the line of the file says."""

    name: str
    in_force: str
    written: str
    file: str
    line: int
    reset: str


class OverriddenSettings(SettingsDeclared, Check[Overridden]):
    """Looks for lines of the configuration that ALTER SYSTEM has put out of force.

    What the performance duty applied is no drift as long as it is still that value.
    """

    title = "settings overridden by ALTER SYSTEM"
    row = Overridden
    needs = Needs(view="pg_file_settings")
    directory = ""
    applied: Mapping[str, str] = {}

    def configure(self, settings: IntegritySettings) -> None:
        """Take the declared settings, and where the performance duty writes down what it applied."""
        super().configure(settings)
        self.directory = settings.performance_directory

    def search(self, context: Context) -> Iterator[Finding]:
        """Ask, with what was applied in this database's name."""
        if self.directory:
            self.applied = Record(self.directory, context.server.database).applied()
        yield from super().search(context)

    def parameters(self) -> Mapping[str, Any]:
        """Return the declared and the applied settings, each as one JSON object."""
        return {**super().parameters(), "applied": json.dumps(dict(self.applied))}

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
