"""What a duty of the upkeep is: a check, and what is done about each thing that it finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Generic

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Check, Context, Row, choose, fetch
from courtkeeper.postgres.server import Server
from courtkeeper.postgres.upkeep.settings import UpkeepSettings
from courtkeeper.postgres.upkeep.sql import statement
from courtkeeper.postgres.upkeep.state import State
from courtkeeper.postgres.upkeep.task import Task


class Duty(Generic[Row]):
    """Finds tasks by a check, and asks the very same check about one of them again when it was done.

    `name` is what the caller chooses it by, `asks` the check.
    """

    name: ClassVar[str]
    asks: ClassVar[str]

    def __init__(self, told: UpkeepSettings, state: State) -> None:
        self.told, self.state = told, state
        self.check = self.make()

    def make(self) -> Check[Row]:
        """Return the check, with the caller's limits."""
        (check,) = choose(names=[self.asks], thresholds=self.told.thresholds)
        return check

    def prepare(self, context: Context) -> None:
        """Refuse what the caller named and cannot be. Called before anything is changed."""

    def find(self, context: Context) -> Iterator[Task | Finding]:
        """Yield what is to be done, and as a finding what is only to be said."""
        if unable := self.check.unable(context.server):
            yield unable
            return
        for row in self.rows(context):
            yield from self.consider(context, row)

    def consider(self, _context: Context, row: Row) -> Iterator[Task | Finding]:
        """Yield what follows from one row of the check."""
        if finding := self.check.judge(row):
            yield self.task(row, finding)

    def task(self, row: Row, finding: Finding) -> Task:
        """Return what is done about one row that is wrong."""
        raise NotImplementedError

    def is_due(self, _context: Context, _task: Task) -> bool:
        """Whether a task is still to be done when its turn comes; asked where that may be long after."""
        return True

    def again(self, context: Context, task: Task) -> Finding | None:
        """Return what the check says of the same object now; None where all is well."""
        for row in self.rows(context):
            finding = self.check.judge(row)
            if finding and finding.subject == task.subject:
                return finding
        return None

    def leftovers(self, _context: Context, _task: Task) -> list[str]:
        """Return the statements that remove what a failed task left behind."""
        return []

    def rows(self, context: Context) -> list[Row]:
        """Return what the check's statement returns, asked now."""
        with context.connection.transaction():
            return fetch(context, self.check)


class OwnCheck(Check[Row]):
    """A check of the upkeep alone: what autovacuum will come to by itself is nothing to report elsewhere."""

    def sql(self, _server: Server) -> str:
        """Return the statement, which is one for every version."""
        return statement(self.name)


def said(task: Task, status: Status, summary: str, fix: str = "") -> Finding:
    """Return the finding of a task that was not done, in the words of its check's finding."""
    return msgspec.structs.replace(
        task.found, status=status, summary=summary, fix=fix or task.found.fix, applied="", undo=""
    )
