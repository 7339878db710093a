"""Indexes that come and go only where the caller named them."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import errors

from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.postgres.check import Context, Row, choose, fetch
from courtkeeper.postgres.checks.indexes._redundant import RedundantIndex
from courtkeeper.postgres.checks.structure.foreign_key_index import BareForeignKey
from courtkeeper.postgres.upkeep.duty import Duty
from courtkeeper.postgres.upkeep.sql import statement
from courtkeeper.postgres.upkeep.task import Task


class _Named(Duty[Row]):
    """What the duties share: the caller's names, as the server writes them."""

    variable: str
    query: str
    names: dict[str, str | None]

    def prepare(self, context: Context) -> None:
        """Take the names. Raises ConfigurationError for one that cannot be read."""
        self.names = self.resolve(context, getattr(self.told, self.variable))

    def find(self, context: Context) -> Iterator[Task | Finding]:
        """Yield a task for each object that is named and found by the check."""
        names = self.names
        if not names:
            return
        seen = set()
        for row in self.rows(context):
            finding = self.check.judge(row)
            if finding and finding.subject in names.values():
                seen.add(finding.subject)
                yield from self.chosen(row, finding)
        for name, known in names.items():
            if known not in seen:
                yield from self.not_found(context, name, known)

    def resolve(self, context: Context, given: tuple[str, ...]) -> dict[str, str | None]:
        """Return the server's name for each of the caller's; None for what is not there."""
        try:
            with context.connection.transaction():
                rows = context.connection.execute(statement(self.query), {"names": list(given)}).fetchall()
        except (errors.InvalidName, errors.InvalidParameterValue) as error:
            raise ConfigurationError(
                f"{self.variable} holds a name that cannot be read ({error.diag.message_primary}): "
                "write it as SQL does, with the schema"
            ) from error
        return dict(rows)

    def is_due(self, context: Context, task: Task) -> bool:
        """Whether the check still finds it: what does an index's work may have gone meanwhile."""
        return self.again(context, task) is not None

    def chosen(self, row: Row, finding: Finding) -> Iterator[Task | Finding]:
        """Yield what is done about a named object that the check finds."""
        yield self.task(row, finding)

    def not_found(self, context: Context, name: str, known: str | None) -> Iterator[Finding]:
        """Yield what is to be said of a name that the check does not find."""
        raise NotImplementedError


class ForeignKeyIndexes(_Named[BareForeignKey]):
    """An index is built for each foreign key that the caller names, where it has none."""

    name = "foreign_key_indexes"
    asks = "structure.foreign_key_index"
    variable = "create_indexes"
    query = "foreign_keys"

    def chosen(self, row: BareForeignKey, finding: Finding) -> Iterator[Task | Finding]:
        """A partitioned table has no way to do that online."""
        if row.concurrently:
            yield self.task(row, finding)
            return
        yield self.check.finding(
            finding.subject,
            Status.SKIPPED,
            f"{row.table_name} is partitioned: to build the index in one statement would hold its writers "
            "off all the while.",
            fix=f"build it CONCURRENTLY on each partition, then: {finding.fix}",
        )

    def task(self, row: BareForeignKey, finding: Finding) -> Task:
        """Build it without a lock that readers or writers wait for."""
        return Task(
            kind="create_index",
            rank=8,
            text=f"build {row.new_index_name} for the foreign key {row.constraint_name} of {row.table_name}",
            statements=(finding.fix.rstrip(";"),),
            found=finding,
            relation=row.table_name,
            disk=0.5,  # of the table: two wide columns of a narrow one
            undo=finding.undo,
        )

    def leftovers(self, context: Context, task: Task) -> list[str]:
        """Return how to drop the index that could not be built to the end."""
        name = task.undo.removeprefix("DROP INDEX CONCURRENTLY ").removesuffix(";")
        (check,) = choose(names=["indexes.invalid"])
        with context.connection.transaction():
            # One of another table that has the name already is none of ours.
            invalid = {row.index_name for row in fetch(context, check) if row.table_name == task.relation}
        return [f"DROP INDEX CONCURRENTLY {name}"] if name in invalid else []

    def not_found(self, _context: Context, name: str, known: str | None) -> Iterator[Finding]:
        """One that has an index is as it should be."""
        if known is None:
            yield self.check.finding(
                name,
                Status.SKIPPED,
                f"There is no foreign key {name}: no index was built.",
                fix=f"write {self.variable} as schema.table.constraint",
            )


class DuplicateIndexes(_Named[RedundantIndex]):
    """An index that another one repeats is dropped where the caller names it."""

    name = "redundant_indexes"
    asks = "indexes.duplicate"
    variable = "drop_indexes"
    query = "indexes"

    def task(self, row: RedundantIndex, finding: Finding) -> Task:
        """Drop it, with its definition kept."""
        return Task(
            kind="drop_index",
            rank=8,
            text=f"drop {row.index_name}, which {row.kept_name} makes needless",
            statements=(finding.fix.rstrip(";"),),
            found=finding,
            relation=row.index_name,
            undo=finding.undo,
        )

    def not_found(self, _context: Context, _name: str, _known: str | None) -> Iterator[Finding]:
        """The overlapping ones are looked at next."""
        yield from ()


class OverlappingIndexes(DuplicateIndexes):
    """The same for an index that is the beginning of another one."""

    asks = "indexes.overlapping"

    def not_found(self, context: Context, name: str, known: str | None) -> Iterator[Finding]:
        """Say of a name that it stays, and why; not of one that was dropped before."""
        if known is None and not self.state.did("drop_index", name):
            why, fix = "is not there", f"write {self.variable} with the schema, as public.games_again"
        elif known is not None and known not in self.duplicates(context):
            why, fix = "stays: no other index does its work", f"take it from {self.variable}"
        else:
            return
        yield self.check.finding(known or name, Status.SKIPPED, f"The index {known or name} {why}.", fix=fix)

    def duplicates(self, context: Context) -> set[str]:
        """Return the names that the other check finds."""
        (check,) = choose(names=["indexes.duplicate"])
        with context.connection.transaction():
            return {row.index_name for row in fetch(context, check)}
