"""Do one task: bounded in time, measured, looked at again by the check that found it."""

from __future__ import annotations

import shlex
import time
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.database import MEND_FILES, Connection, is_of_files
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.refusal import is_lost, words
from courtkeeper.postgres.sizes import size
from courtkeeper.postgres.upkeep import repack
from courtkeeper.postgres.upkeep.duty import Duty, said
from courtkeeper.postgres.upkeep.sql import statement
from courtkeeper.postgres.upkeep.state import State
from courtkeeper.postgres.upkeep.task import Task

# PG 13 and 14 count by a process of their own, which tells others twice a second.
_STATISTICS_S = 3.0


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one task. `before` and `after`: bytes and dead rows of its relation."""

    finding: Finding
    changed: bool
    seconds: float
    before: dict[str, int]
    after: dict[str, int]

    @property
    def succeeded(self) -> bool:
        """Whether the check finds nothing wrong any more."""
        return self.finding.status is Status.OK


def bounded(connection: Connection, seconds: float) -> None:
    """Let each statement from now on take at most `seconds`."""
    connection.execute(
        "SELECT set_config('statement_timeout', %s, false)", [str(max(1, round(seconds * 1000)))]
    )


def perform(
    worker: Connection,
    context: Context,
    state: State,
    duty: Duty[Any],
    task: Task,
    *,
    timeout_s: float,
) -> Done:
    """Do `task` within `timeout_s`.

    Whatever the server refuses is a finding; what a failed task left behind is removed. Raises
    OperationalError or InterfaceError where the connection is lost.
    """
    warnings: list[str] = []

    def keep(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING" and diagnostic.message_primary:
            warnings.append(diagnostic.message_primary)

    before = _measured(context, task)
    number = state.begin(task, before)
    started = time.monotonic()
    worker.add_notice_handler(keep)
    try:
        bounded(worker, timeout_s)
        for text in task.statements:
            worker.execute(text.encode())
        if task.program:
            warnings += repack.run(task.program, context.database, timeout_s)
    except (psycopg.Error, repack.Refused) as error:
        if isinstance(error, psycopg.Error) and is_lost(error, worker):
            raise
        seconds = time.monotonic() - started
        after = _measured(context, task)
        remains = _clean_up(worker, context, duty, task)
        finding = refused(task, error, remains)
        state.finish(number, "failed", seconds, after, finding.summary)
        return Done(finding=finding, changed=False, seconds=seconds, before=before, after=after)
    finally:
        worker.remove_notice_handler(keep)
    seconds = time.monotonic() - started
    after = _measured(context, task)
    try:
        still = _again(context, duty, task)
    except psycopg.Error as error:
        if is_lost(error, context.connection):
            raise
        finding = _unchecked(task, error)
    else:
        finding = _of_no_avail(still, task, warnings) if still else _mended(task, before, after, seconds)
    state.finish(number, "done", seconds, after)
    return Done(finding=finding, changed=True, seconds=seconds, before=before, after=after)


def measure(context: Context, task: Task) -> dict[str, int]:
    """Return bytes and dead rows of the task's relation; empty where it is not there (any more)."""
    if not task.relation:
        return {}
    with context.connection.transaction():
        row = context.connection.execute(statement("measure"), {"relation": task.relation}).fetchone()
    return {} if row is None or row[0] is None else {"bytes": row[0], "dead_rows": row[1]}


def _measured(context: Context, task: Task) -> dict[str, int]:
    """Measure as `measure` does; what cannot be measured now (somebody has locked it) is left out."""
    try:
        return measure(context, task)
    except psycopg.Error as error:
        if is_lost(error, context.connection):
            raise
        return {}


def refused(task: Task, error: psycopg.Error | repack.Refused, remains: str = "") -> Finding:
    """Return what an error of the server or of pg_repack means for a task, in one sentence."""
    status, why, fix = Status.UNKNOWN, words(error), ""
    if isinstance(error, errors.LockNotAvailable):
        status, why = Status.SKIPPED, "somebody else holds a lock that it needs, and nobody is made to wait"
        fix = "courtkeeper check postgres --group activity # names who; then run the upkeep again"
    elif isinstance(error, errors.QueryCanceled) or (isinstance(error, repack.Refused) and error.is_late):
        status, why = Status.SKIPPED, "it took longer than its time"
        fix = "give the upkeep a longer window or statement timeout"
    elif isinstance(error, errors.FeatureNotSupported):
        # Of an exclusion constraint, say: what cannot be done online is for a person and a quiet hour.
        status = Status.SKIPPED
        online = task.found.fix.startswith("REINDEX INDEX CONCURRENTLY ")
        fix = task.found.fix.replace(" CONCURRENTLY", "", 1) + " -- writers wait meanwhile" if online else ""
    elif is_of_files(error):
        status, fix = Status.CRIT, MEND_FILES
    elif isinstance(error, errors.InsufficientPrivilege):
        status, fix = Status.SKIPPED, "run the upkeep as the owner of the object or as a superuser"
    elif isinstance(error, psycopg.IntegrityError):
        status = Status.CRIT
        fix = "courtkeeper check postgres --group data # counts the rows that break it; mend them first"
    elif isinstance(error, errors.DiskFull):
        status, fix = Status.CRIT, "make room on the server's disk"
    summary = f"To {task.text} was tried and not done: {why}."
    if remains:
        summary += f" {remains}"
    return said(task, status, summary, fix)


def _clean_up(worker: Connection, context: Context, duty: Duty[Any], task: Task) -> str:
    """Remove what a failed task left; return a sentence where something remains, or an empty one."""
    left = []
    try:
        remove = duty.leftovers(context, task)
    except psycopg.Error as error:
        if is_lost(error, context.connection):
            raise
        return "What it left behind, if anything, is removed by the next run."
    for text in remove:
        try:
            bounded(worker, 60)
            worker.execute(text.encode())
        except psycopg.Error as error:
            if is_lost(error, worker):
                raise
            left.append(text.removeprefix("DROP INDEX CONCURRENTLY "))
    return f"{', '.join(left)} is left of it, and is dropped by the next run." if left else ""


def _again(context: Context, duty: Duty[Any], task: Task) -> Finding | None:
    """Ask the check again; where it reads statistics, wait a little until they are told."""
    deadline = time.monotonic() + _STATISTICS_S
    while True:
        still = duty.again(context, task)
        if still is None or context.server.version >= 15 or time.monotonic() >= deadline:
            return still
        time.sleep(0.1)


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(1, round(seconds * 1000))} ms"


def _mended(task: Task, before: dict[str, int], after: dict[str, int], seconds: float) -> Finding:
    shown = []
    if before.get("bytes", 0) != after.get("bytes", 0):
        shown.append(f"{size(before.get('bytes', 0))} before, {size(after.get('bytes', 0))} now")
    if before.get("dead_rows", 0) != after.get("dead_rows", 0):
        shown.append(f"{before.get('dead_rows', 0):,} dead rows before, {after.get('dead_rows', 0):,} now")
    detail = f" ({'; '.join(shown)})" if shown else ""
    return msgspec.structs.replace(
        task.found,
        status=Status.OK,
        summary=f"Done in {_took(seconds)}: {task.text}{detail}. The check finds nothing wrong any more.",
        fix="",
        applied=_applied(task),
        undo=task.undo,
    )


def _unchecked(task: Task, error: psycopg.Error) -> Finding:
    """Return the finding of a task that was done, after which the check could not be asked."""
    return msgspec.structs.replace(
        task.found,
        status=Status.UNKNOWN,
        summary=f"Done: {task.text}. Whether all is well now could not be looked at: {words(error)}.",
        fix="run the upkeep again: it looks at it anew",
        applied=_applied(task),
        undo=task.undo,
    )


def _of_no_avail(still: Finding, task: Task, warnings: list[str]) -> Finding:
    """Return the check's own finding of what is still wrong after the task was done."""
    said_so = f" The server says: {'; '.join(warnings[:3])}." if warnings else ""
    return msgspec.structs.replace(
        still,
        summary=f"{still.summary} It was tried to {task.text}, to no avail.{said_so}",
        fix=task.help or still.fix,
        applied=_applied(task),
        undo=task.undo,
    )


def _applied(task: Task) -> str:
    """Return what was done, as a person would do it: statements, or the command line."""
    return shlex.join(task.program) if task.program else "; ".join(task.statements) + ";"
