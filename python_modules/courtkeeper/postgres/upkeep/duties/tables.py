"""Tables: VACUUM, VACUUM FREEZE and ANALYZE of those that need it, and of no other."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Context
from courtkeeper.postgres.checks.capacity.freeze import UnfrozenTable
from courtkeeper.postgres.checks.capacity.multixact_age import OldMultixacts
from courtkeeper.postgres.query import structs
from courtkeeper.postgres.upkeep.duty import Duty, OwnCheck
from courtkeeper.postgres.upkeep.sql import statement
from courtkeeper.postgres.upkeep.task import Task

_HELD = (
    "courtkeeper check postgres --check activity.old_transaction --check replication.slot "
    "# names who still needs the old rows"
)


class DeadTable(msgspec.Struct, frozen=True):
    """A table with more dead rows than autovacuum itself would wait for."""

    table_name: str
    dead_rows: int
    threshold: int


class DeadRows(OwnCheck[DeadTable]):
    """Looks for tables that are due for VACUUM by autovacuum's own rule."""

    title = "tables that are due for VACUUM"
    row = DeadTable

    def judge(self, row: DeadTable) -> Finding:
        """Autovacuum's threshold and scale factor, the table's own where it has them."""
        return self.finding(
            row.table_name,
            Status.WARN,
            f"The table {row.table_name} has {row.dead_rows:,} dead rows, more than the {row.threshold:,} "
            "that autovacuum waits for.",
            observed=row.dead_rows,
            threshold=row.threshold,
            unit="rows",
            fix=f"VACUUM {row.table_name};",
        )


class StaleTable(msgspec.Struct, frozen=True):
    """A table whose statistics for the planner are missing, or of so many changes ago."""

    table_name: str
    is_missing: bool
    changed_rows: int
    threshold: int


class StaleStatistics(OwnCheck[StaleTable]):
    """Looks for tables that are due for ANALYZE by autovacuum's own rule, or that it never comes to."""

    title = "tables that are due for ANALYZE"
    row = StaleTable

    def judge(self, row: StaleTable) -> Finding:
        """Without statistics the planner guesses."""
        what = (
            "was never analyzed: the planner knows nothing of its rows"
            if row.is_missing
            else f"has changed by {row.changed_rows:,} rows since it was analyzed, more than the "
            f"{row.threshold:,} that autovacuum waits for"
        )
        return self.finding(
            row.table_name,
            Status.WARN,
            f"The table {row.table_name} {what}.",
            observed=row.changed_rows,
            threshold=row.threshold,
            unit="rows",
            fix=f"ANALYZE {row.table_name};",
        )


class Vacuum(Duty[DeadTable]):
    """VACUUM of the tables that are due."""

    name = "vacuum"

    def make(self) -> Check[DeadTable]:
        """Return our own check, of autovacuum's own rule."""
        return DeadRows("upkeep", "dead_rows")

    def task(self, row: DeadTable, finding: Finding) -> Task:
        """It takes no lock that readers or writers wait for."""
        return Task(
            kind="vacuum",
            rank=3,
            text=f"vacuum {row.table_name} ({row.dead_rows:,} dead rows)",
            statements=(f"VACUUM {row.table_name}",),
            found=finding,
            relation=row.table_name,
            help=_HELD,
            undo="-- nothing to take back: only dead rows were removed",
        )


class Statistics(Duty[StaleTable]):
    """ANALYZE of the tables that are due, and of partitioned tables, which autovacuum leaves out."""

    name = "analyze"

    def make(self) -> Check[StaleTable]:
        """Return our own check, of autovacuum's own rule."""
        return StaleStatistics("upkeep", "statistics")

    def task(self, row: StaleTable, finding: Finding) -> Task:
        """It reads a sample."""
        why = "never analyzed" if row.is_missing else f"{row.changed_rows:,} rows changed"
        return Task(
            kind="analyze",
            rank=4,
            text=f"analyze {row.table_name} ({why})",
            statements=(f"ANALYZE {row.table_name}",),
            found=finding,
            relation=row.table_name,
            undo="-- nothing to take back: statistics for the planner",
        )


class Freeze(Duty[UnfrozenTable]):
    """VACUUM FREEZE of what autovacuum would soon freeze by force, at a busier hour perhaps."""

    name = "freeze"
    asks = "capacity.freeze"

    def make(self) -> Check[UnfrozenTable]:
        """Return the check, with all that it finds: tables grow old together."""
        check = super().make()
        check.limit["shown"] = 1_000_000
        return check

    def consider(self, _context: Context, row: UnfrozenTable) -> Iterator[Task | Finding]:
        """Another database can only be named: it wants an upkeep of its own."""
        finding = self.check.judge(row)
        if finding and row.is_database:
            yield finding
        elif finding:
            yield self.task(row, finding)

    def task(self, row: UnfrozenTable, finding: Finding) -> Task:
        """Nothing is more urgent: in the end the server would take no writes at all."""
        return Task(
            kind="freeze",
            rank=0,
            text=f"vacuum and freeze {row.name} ({row.used:.0f} % of autovacuum_freeze_max_age)",
            statements=(f"VACUUM (FREEZE) {row.name}",),
            found=finding,
            relation=row.name,
            help=_HELD,
            undo="-- nothing to take back: old rows are marked as visible to all",
        )


class OldTable(msgspec.Struct, frozen=True):
    """A table whose oldest multixact id is `age` ids old."""

    table_name: str
    age: int
    is_temporary: bool


class Multixacts(Duty[OldMultixacts]):
    """VACUUM FREEZE of the tables that keep the database's oldest multixact id from going on."""

    name = "freeze"
    asks = "capacity.multixact_age"

    def consider(self, context: Context, row: OldMultixacts) -> Iterator[Task | Finding]:
        """Each table of this database over the limit; another database wants an upkeep of its own."""
        finding = self.check.judge(row)
        if finding is None:
            return
        tables = self.tables(context) if row.is_current else []
        if not any(not table.is_temporary for table in tables):
            yield finding
        for table in tables:
            found = self.found(table)
            yield found if table.is_temporary else self.freeze(table, found)

    def tables(self, context: Context) -> list[OldTable]:
        """Return the tables of this database that are over the limit, the oldest first."""
        with context.connection.transaction():
            return structs(
                context.connection.execute(statement("multixacts"), dict(self.check.limit)), OldTable
            )

    def found(self, table: OldTable) -> Finding:
        """Return the finding of one table, in the words of the database's."""
        end = "its session, whose alone it is" if table.is_temporary else ""
        return self.check.finding(
            table.table_name,
            Status.CRIT,
            f"The table {table.table_name} has multixact ids of {table.age:,} ids ago: they keep the "
            "database from giving any back.",
            observed=table.age,
            threshold=self.check.limit["crit"],
            unit="multixact ids",
            fix=f"end {end}" if end else f"VACUUM (FREEZE) {table.table_name};",
        )

    def freeze(self, table: OldTable, found: Finding) -> Task:
        """As urgent as transaction ids: in the end nobody could lock a row."""
        return Task(
            kind="freeze_multixacts",
            rank=0,
            text=f"vacuum and freeze {table.table_name} ({table.age:,} multixact ids old)",
            statements=(f"VACUUM (FREEZE) {table.table_name}",),
            found=found,
            relation=table.table_name,
            help=_HELD,
            undo="-- nothing to take back: old row locks are forgotten",
        )

    def again(self, context: Context, task: Task) -> Finding | None:
        """Look at the table, and after the last one at the database, by the very check that found it."""
        left = self.tables(context)
        for table in left:
            if table.table_name == task.subject:
                return self.found(table)
        if left:
            return None
        return next((self.check.judge(row) for row in self.rows(context) if row.is_current), None)
