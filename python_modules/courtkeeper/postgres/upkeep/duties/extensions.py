"""Extensions: brought to the version that the server has, where that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Context
from courtkeeper.postgres.upkeep.duty import Duty, OwnCheck
from courtkeeper.postgres.upkeep.task import Task


class OldExtension(msgspec.Struct, frozen=True):
    """An extension older than what the server has. `has_way_back`: whether it can be taken back by ALTER."""

    extension_name: str
    plain_name: str
    installed: str
    available: str
    has_way_back: bool


class OldExtensions(OwnCheck[OldExtension]):
    """Looks for extensions that were not updated with the server."""

    title = "extensions behind the server's version"
    row = OldExtension

    def judge(self, row: OldExtension) -> Finding:
        """An update runs the extension's own script."""
        return self.finding(
            row.extension_name,
            Status.WARN,
            f"The extension {row.extension_name} is of version {row.installed}, "
            f"the server has {row.available}.",
            observed=row.installed,
            threshold=row.available,
            fix=f"ALTER EXTENSION {row.extension_name} UPDATE;",
        )


class Extensions(Duty[OldExtension]):
    """Extensions are updated by name, as an update may change what a view or a function returns."""

    name = "extensions"

    def make(self) -> Check[OldExtension]:
        """Return our own check."""
        return OldExtensions("upkeep", "extensions")

    def consider(self, _context: Context, row: OldExtension) -> Iterator[Task | Finding]:
        """Update what the caller named; say of the others that they are there."""
        finding = self.check.judge(row)
        if finding and ("*" in self.told.extensions or row.plain_name in self.told.extensions):
            yield self.task(row, finding)
        elif finding:
            summary = f"{finding.summary} It is not among those to update."
            yield msgspec.structs.replace(finding, status=Status.SKIPPED, summary=summary)

    def task(self, row: OldExtension, finding: Finding) -> Task:
        """Return the update, with the way back where the extension has one."""
        undo = (
            f"ALTER EXTENSION {row.extension_name} UPDATE TO '{row.installed}';"
            if row.has_way_back
            else f"-- the extension has no script from {row.available} to {row.installed}"
        )
        return Task(
            kind="extension",
            rank=6,
            text=f"update the extension {row.extension_name} from {row.installed} to {row.available}",
            statements=(f"ALTER EXTENSION {row.extension_name} UPDATE",),
            found=finding,
            undo=undo,
        )
