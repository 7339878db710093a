"""Bloat: what pgstattuple confirms, never what is only estimated."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.asking import Unanswered
from courtkeeper.postgres.bloat import Bloat, Swollen
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.upkeep import repack
from courtkeeper.postgres.upkeep.duties.indexes import leftovers_of
from courtkeeper.postgres.upkeep.duty import Duty
from courtkeeper.postgres.upkeep.sql import statement
from courtkeeper.postgres.upkeep.task import Task


class _Measured(Duty[Swollen]):
    """What the two duties share: each candidate is measured before and after."""

    check: Bloat

    def look(self, context: Context, row: Swollen) -> Finding | None:
        """Return the check's finding of one relation, measured now."""
        try:
            waste = self.check.measure(context, row).waste
        except Unanswered as missing:
            return self.check.unconfirmed(row, missing)
        status = self.check.graded(waste)
        return None if status is Status.OK else self.check.confirmed(row, waste, status)

    def consider(self, context: Context, row: Swollen) -> Iterator[Task | Finding]:
        """Act on what was measured; say what could not be."""
        finding = self.look(context, row)
        if finding and finding.status is Status.UNKNOWN:
            yield finding
        elif finding:
            yield from self.mend(context, row, finding)

    def mend(self, _context: Context, row: Swollen, finding: Finding) -> Iterator[Task | Finding]:
        """Yield what is done about a relation that is bloated."""
        yield self.task(row, finding)

    def again(self, context: Context, task: Task) -> Finding | None:
        """Measure this relation alone again."""
        for row in self.rows(context):
            if row.name == task.subject:
                return self.look(context, row)
        return None


class BloatedIndexes(_Measured):
    """Bloated indexes are built again beside the old."""

    name = "bloated_indexes"
    asks = "indexes.bloat"

    def task(self, row: Swollen, finding: Finding) -> Task:
        """Build it beside the old one, which is at most as big."""
        return Task(
            kind="reindex",
            rank=7,
            text=f"build the bloated index {row.name} again",
            statements=(f"REINDEX INDEX CONCURRENTLY {row.name}",),
            found=finding,
            relation=row.name,
            disk=1.0,
        )

    def leftovers(self, context: Context, task: Task) -> list[str]:
        """Return how to drop what a failed rebuild left."""
        return leftovers_of(context, task.subject)


class RepackLog(msgspec.Struct, frozen=True):
    """A table that has a log of pg_repack's."""

    oid: int
    name: str


class BloatedTables(_Measured):
    """Bloated tables are made small by pg_repack, where that is allowed; else they are named."""

    name = "bloated_tables"
    asks = "capacity.table_bloat"

    def find(self, context: Context) -> Iterator[Task | Finding]:
        """Yield what a pg_repack that was killed left, then what is bloated."""
        if self.told.repack and "pg_repack" in context.server.extensions:
            yield from (self.drop_log(log) for log in self.logs(context))
        yield from super().find(context)

    def mend(self, context: Context, row: Swollen, finding: Finding) -> Iterator[Task | Finding]:
        """Yield a task where pg_repack is allowed, there, and able to; else why not."""
        if not self.told.repack:
            yield finding
            return
        path = repack.program(context.server)
        if missing := self.missing(context, row, path):
            why, fix = missing
            summary = f"{finding.summary} pg_repack cannot help: {why}."
            yield msgspec.structs.replace(finding, status=Status.SKIPPED, summary=summary, fix=fix)
        elif path:
            yield Task(
                kind="repack",
                rank=9,
                text=f"make the bloated table {row.name} small by pg_repack",
                statements=(),
                program=repack.command(path, context.database, row.name, self.told.lock_timeout_s),
                found=finding,
                relation=row.name,
                disk=2.0,  # documentation of pg_repack: twice the table and its indexes
            )

    def missing(self, context: Context, row: Swollen, path: str | None) -> tuple[str, str] | None:
        """Return what pg_repack lacks here, and what would help."""
        if "pg_repack" not in context.server.extensions:
            return "its extension is not in this database", "CREATE EXTENSION pg_repack;"
        if path is None:
            package = f"postgresql-{context.server.version}-repack"
            return "the program is not on the host that runs the upkeep", f"install {package} there"
        if not context.server.superuser:
            return f"the role {context.server.role} is no superuser", "run the upkeep as a superuser"
        with context.connection.transaction():
            keyed = context.connection.execute(statement("has_key"), {"oid": row.oid}).fetchone()
        if keyed is None:
            return "the table has no primary key and no unique index without nulls", "give it a primary key"
        return None

    def logs(self, context: Context) -> list[RepackLog]:
        """Return the tables with a log of a pg_repack that is no more."""
        with context.connection.transaction():
            rows = context.connection.execute(statement("repack_logs"), {}).fetchall()
        return [RepackLog(oid, name) for oid, name in rows]

    def drop_log(self, log: RepackLog) -> Task:
        """Return the task that removes a trigger and a log that only cost."""
        found = self.check.finding(
            log.name,
            Status.WARN,
            f"The table {log.name} has a trigger and a log of a pg_repack that was broken off: every write "
            "pays for them, and pg_repack refuses it.",
            fix=f"SELECT repack.repack_drop({log.oid}, 4);",
        )
        return Task(
            kind="repack_drop",
            rank=1,
            text=f"remove what a broken off pg_repack left on {log.name}",
            statements=(found.fix.rstrip(";"),),
            found=found,
            undo="-- nothing to take back: the table itself is as it was",
        )

    def again(self, context: Context, task: Task) -> Finding | None:
        """Look for the log, or measure the table again."""
        if task.kind == "repack_drop":
            return task.found if any(log.name == task.subject for log in self.logs(context)) else None
        return super().again(context, task)

    def leftovers(self, context: Context, task: Task) -> list[str]:
        """Return how to remove what a failed pg_repack left on this table."""
        return [
            f"SELECT repack.repack_drop({log.oid}, 4)"
            for log in self.logs(context)
            if log.name == task.subject
        ]
