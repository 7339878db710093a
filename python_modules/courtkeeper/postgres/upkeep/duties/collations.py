"""Collations that the operating system has changed: indexes first, then the version is written down."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.checks.structure.collation_version import ChangedCollation
from courtkeeper.postgres.upkeep.duties.indexes import leftovers_of
from courtkeeper.postgres.upkeep.duty import Duty
from courtkeeper.postgres.upkeep.task import Task

_REBUILD, _REFRESH = "collation_reindex", "collation"


class Collations(Duty[ChangedCollation]):
    """Every index that is sorted by a changed collation is built again, and only then is that on record.

    Which ones were built is remembered, so that a short window gets to the end in some nights.
    """

    name = "collations"
    asks = "structure.collation_version"

    def consider(self, _context: Context, row: ChangedCollation) -> Iterator[Task | Finding]:
        """Yield a task for each index that is still to be built, and the refresh after them all."""
        finding = self.check.judge(row)
        if finding is None:
            return
        if row.cuts_partitions or not row.actual:
            why = "rows may be in the wrong partition" if row.cuts_partitions else "there is no version now"
            yield msgspec.structs.replace(
                finding,
                summary=f"{finding.summary} It is not refreshed by the upkeep: {why}.",
                fix=f"{finding.fix} -- after moving the rows that are in the wrong partition"
                if row.cuts_partitions
                else "see which collations the operating system has, and name one of them",
            )
            return
        note = f"{row.name} {row.recorded} to {row.actual}"
        ready = self.state.done_since(_REBUILD, note, (_REFRESH, row.name))
        rebuilds = [
            self.rebuild(row, finding, index, note)
            for index in sorted(row.indexes)
            if index not in ready and index not in row.excluding
        ]
        yield from rebuilds
        if row.excluding:
            yield self.by_hand(row, finding)
        else:
            yield self.refresh(row, finding, tuple(task.key for task in rebuilds))

    def by_hand(self, row: ChangedCollation, finding: Finding) -> Finding:
        """Return what is left for a person: indexes that only a rebuild under a lock can put right."""
        locking = " ".join(f"REINDEX INDEX {name};" for name in row.excluding)
        names = ", ".join(row.excluding)
        return msgspec.structs.replace(
            finding,
            summary=f"{finding.summary} It is not refreshed by the upkeep: {names} can only be built again "
            "while writers wait, as exclusion constraints stand on them; the others are built by it.",
            fix=f"{locking} {_refreshing(row)};",
        )

    def rebuild(self, row: ChangedCollation, finding: Finding, index: str, note: str) -> Task:
        """Return the task for one index. Its subject is the index, its fault the collation's."""
        return Task(
            kind=_REBUILD,
            rank=2,
            text=f"build {index} again by the new order of {row.name}",
            statements=(f"REINDEX INDEX CONCURRENTLY {index}",),
            found=msgspec.structs.replace(finding, subject=index),
            relation=index,
            disk=1.0,
            note=note,
        )

    def refresh(self, row: ChangedCollation, finding: Finding, needs: tuple[tuple[str, str], ...]) -> Task:
        """Return the task that writes the new version down."""
        kind = "database" if row.is_database else "collation"
        return Task(
            kind=_REFRESH,
            rank=3,
            text=f"note that {kind} {row.name} has the version {row.actual}",
            statements=(_refreshing(row),),
            found=finding,
            undo="-- nothing to take back: the indexes are in the order of this version",
            needs=needs,
        )

    def again(self, context: Context, task: Task) -> Finding | None:
        """An index that was built again is right; the collation is asked for."""
        return None if task.kind == _REBUILD else super().again(context, task)

    def leftovers(self, context: Context, task: Task) -> list[str]:
        """Return how to drop what a failed rebuild left."""
        return leftovers_of(context, task.subject) if task.kind == _REBUILD else []


def _refreshing(row: ChangedCollation) -> str:
    if row.is_database:
        return f"ALTER DATABASE {row.name} REFRESH COLLATION VERSION"
    return f"ALTER COLLATION {row.name} REFRESH VERSION"
