"""The upkeep of one database: find what is due, do what fits into the window, remember the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import psycopg

from courtkeeper import database
from courtkeeper.database import MEND_FILES, Connection, DatabaseSettings, is_of_files
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status, by_severity
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.integrity import Progress, sentence, silent
from courtkeeper.postgres.refusal import is_lost, is_read_only, why_lost, words
from courtkeeper.postgres.upkeep import disk, sessions, snapshots
from courtkeeper.postgres.upkeep.duties import DUTIES
from courtkeeper.postgres.upkeep.duty import Duty, said
from courtkeeper.postgres.upkeep.perform import Done, measure, perform, refused
from courtkeeper.postgres.upkeep.settings import UpkeepSettings
from courtkeeper.postgres.upkeep.state import State
from courtkeeper.postgres.upkeep.task import Task, ordered, seconds_for

Room = Callable[[Context, str], disk.Room | None]

# What looking for work and measuring may take for one statement.
_LOOK_S = 120.0


def upkeep(
    settings: DatabaseSettings,
    told: UpkeepSettings | None = None,
    *,
    check_mode: bool = False,
    progress: Progress = silent,
    room: Room = disk.room,
) -> Result:
    """Look after one database: do what is due, most urgent first, within the window of `told`.

    With `check_mode` nothing is changed, and `actions` are those that would be done. `room` tells how much
    space there is for a relation. Raises ConfigurationError where the request or the role is wrong,
    CourtkeeperError where the server cannot be reached; where it is lost on the way, what was done before
    is the error's `partial`.
    """
    told = told or UpkeepSettings()
    run = None
    with _connections(settings, told) as (worker, reader):
        try:
            context = Context(connection=reader, database=settings, server=servers.look(reader))
            if context.server.in_recovery:
                return _not_here(context, "this is a replica: its upkeep is done on the primary")
            state = State(worker)
            if not state.lock():
                return _not_here(context, "another upkeep of this database is at work", "wait for it to end")
            run = _Run(settings, told, worker, context, state, progress, check_mode=check_mode, room=room)
            return run.result()
        except psycopg.Error as error:
            lost = is_lost(error, worker, reader)
            broken = _lost(settings, error) if lost else _broken_off(settings, error)
            broken.partial = run.finished() if run else None
            raise broken from error


@contextmanager
def _connections(settings: DatabaseSettings, told: UpkeepSettings) -> Iterator[tuple[Connection, Connection]]:
    """Open one connection that changes things, each statement by itself, and one that only reads."""

    def opened() -> Connection:
        return database.connect(
            settings,
            purpose="postgres_upkeep",
            lock_timeout_s=told.lock_timeout_s,
            statement_timeout_s=_LOOK_S,
            catalog_only=True,
        )

    with opened() as worker, opened() as reader:
        worker.autocommit = True
        reader.read_only = True
        yield worker, reader


class _Run:
    """One run; what it has done so far stays readable when it ends in the middle."""

    def __init__(
        self,
        settings: DatabaseSettings,
        told: UpkeepSettings,
        worker: Connection,
        context: Context,
        state: State,
        progress: Progress,
        *,
        check_mode: bool,
        room: Room,
    ) -> None:
        self.settings, self.told, self.worker = settings, told, worker
        self.context, self.state, self.progress = context, state, progress
        self.check_mode, self.room = check_mode, room
        self.started = time.monotonic()
        duties: list[Duty[Any]] = [kind(told, state) for kind in DUTIES if told.wants(kind.name)]
        self.duties = {duty.check.id: duty for duty in duties}  # by the id of what they find
        self.so_far = Result(metrics={"actions_done": 0, "actions_deferred": 0, "bytes_freed": 0})
        self.so_far.details["tasks"] = []
        self.before: list[str] = []
        self.after: list[str] = []

    def result(self) -> Result:
        """Do it all and return what was found and done."""
        for duty in self.duties.values():
            duty.prepare(self.context)
        self._install()
        if not self.check_mode:
            self.state.close_interrupted()
        self._end_sessions()
        self._snapshot()
        tasks = self._look()
        self._work(tasks)
        return self.finished()

    def finished(self) -> Result:
        """Return what was found and done so far."""
        result = self.so_far
        result.findings = by_severity(result.findings) or [self._nothing()]
        result.changed = bool(result.actions)
        result.metrics["duration_s"] = round(time.monotonic() - self.started, 3)
        if self.before or self.after:
            result.diff = {"before": _lines(self.before), "after": _lines(self.after)}
        verb = "to do" if self.check_mode else "done"
        result.msg = f"{len(result.actions)} actions {verb}; {sentence(self.context.server, result.findings)}"
        return result

    @property
    def left_s(self) -> float:
        """Return what is left of the window."""
        return self.told.window_s - (time.monotonic() - self.started)

    def _install(self) -> None:
        if self.state.exists:
            return
        if not self.check_mode:
            self.state.install()
        self._acted("make the schema courtkeeper for the upkeep's history and statistics snapshots")

    def _end_sessions(self) -> None:
        """End the sessions of others that the caller wants ended: first, as they hold locks."""
        told = self.told.terminate
        for session in sessions.over(self.context, told):
            if self.left_s <= 0:
                return
            if self.check_mode:
                self._acted(sessions.plan(session))
                self.so_far.findings.append(sessions.found(session, told))
                continue
            finding, ended = sessions.end(self.worker, session, told)
            self.so_far.findings.append(finding)
            if ended:
                self._acted(sessions.plan(session))

    def _snapshot(self) -> None:
        """Copy the usage statistics where the last copy is old: before anything here adds to them.

        Copies and replaced actions that are past their days go in every run; that is counted as little as a
        note for next time.
        """
        server = self.context.server
        interval = timedelta(hours=self.told.snapshot_interval_h)
        if not self.state.exists or snapshots.due(self.worker, server.now, interval):
            if not self.check_mode:
                snapshots.take(self.worker, server)
            self._acted("take a snapshot of the usage statistics")
        if not self.check_mode:
            keep = timedelta(days=self.told.snapshot_keep_days)
            snapshots.forget(self.worker, keep)
            self.state.forget(keep)

    def _acted(self, text: str) -> None:
        self.so_far.actions.append(text)
        self.after.append(text)

    def _look(self) -> list[Task]:
        """Ask every duty; keep what is only to be said, and return what is to be done in its order."""
        tasks: list[Task] = []
        for number, duty in enumerate(self.duties.values()):
            self.progress(number, len(self.duties), f"look for {duty.check.title}")
            try:
                for found in duty.find(self.context):
                    if isinstance(found, Task):
                        tasks.append(found)
                    else:
                        self.so_far.findings.append(found)
            except psycopg.Error as error:
                if is_lost(error, self.context.connection):
                    raise
                self.so_far.findings.append(self._unseen(duty, error))
        return ordered(tasks, self.state.deferred())

    def _unseen(self, duty: Duty[Any], error: psycopg.Error) -> Finding:
        files = is_of_files(error)
        return duty.check.finding(
            self.context.server.database,
            Status.CRIT if files else Status.SKIPPED,
            f"{duty.check.title.capitalize()} were not looked for: {words(error)}.",
            fix=MEND_FILES if files else "run the upkeep again when nobody holds a lock on them",
        )

    def _work(self, tasks: list[Task]) -> None:
        """Do, or in check mode plan, what fits; put the rest off."""
        rates = self.state.rates()
        put_off: list[Task] = []
        planned_s = 0.0
        done: dict[tuple[str, str], bool] = {}
        for number, task in enumerate(tasks):
            self.progress(number, len(tasks), task.text)
            reason, estimate = self._why_not(task, rates, planned_s, done)
            if reason is None:
                planned_s += estimate if self.check_mode else 0
                done[task.key] = self._do(task, estimate)
            else:
                done[task.key] = False
                self.so_far.findings.append(reason)
                put_off.append(task)
        self.so_far.metrics["actions_deferred"] = len(put_off)
        if not self.check_mode:
            self.state.defer(put_off)

    def _why_not(
        self, task: Task, rates: dict[str, float], planned_s: float, done: dict[tuple[str, str], bool]
    ) -> tuple[Finding | None, float]:
        """Return why a task is not begun (None: it is), and how many seconds it is expected to take."""
        try:
            size = measure(self.context, task).get("bytes", 0)
        except psycopg.Error as error:
            if is_lost(error, self.context.connection):
                raise
            return refused(task, error), 0.0
        estimate = seconds_for(task, size, rates)
        if not all(done.get(key, True) for key in task.needs):
            why = f"To {task.text} has to wait until all that it depends on was done."
            return said(task, Status.SKIPPED, why), estimate
        left_s = self.left_s - planned_s
        if estimate > left_s:
            why = (
                f"To {task.text} would take about {estimate:.0f} s; {max(0, left_s):.0f} s are left of the "
                f"window of {self.told.window_s:.0f} s. It is nearer to the front next time."
            )
            return said(task, Status.SKIPPED, why, "run the upkeep again, or with a longer window"), estimate
        here = self.room(self.context, task.relation) if task.disk else None
        if here and (problem := here.problem(task, round(size * task.disk))):
            return said(task, Status.SKIPPED, problem, "make room on the server's disk"), estimate
        return None, estimate

    def _do(self, task: Task, estimate: float) -> bool:
        """Do one task, or in check mode write it down. Return whether all is well then."""
        self.before.append(f"{task.subject}: {task.found.summary}")
        if self.check_mode:
            self._acted(task.text)
            self.so_far.findings.append(task.found)
            self._noted(task, estimate, None)
            return True
        duty = self.duties[task.found.id]
        try:
            if not duty.is_due(self.context, task):
                why = f"To {task.text} is not needed any more: the check does not find it now."
                gone = said(task, Status.OK, why)
                self.so_far.findings.append(msgspec.structs.replace(gone, fix=""))
                return True
            done = perform(
                self.worker,
                self.context,
                self.state,
                duty,
                task,
                timeout_s=min(self.told.statement_timeout_s, self.left_s),
            )
        except psycopg.Error as error:
            if is_lost(error, self.worker, self.context.connection):
                why = f"The server was lost at this: to {task.text}. What became of it is not known."
                self.so_far.findings.append(said(task, Status.UNKNOWN, why, "run the upkeep again"))
                raise
            self.so_far.findings.append(refused(task, error))
            return False
        self.so_far.findings.append(done.finding)
        if done.changed:
            self._acted(task.text)
            self.so_far.metrics["actions_done"] += 1
            self.so_far.metrics["bytes_freed"] += done.before.get("bytes", 0) - done.after.get("bytes", 0)
        self._noted(task, estimate, done)
        return done.succeeded

    def _noted(self, task: Task, estimate: float, done: Done | None) -> None:
        """Add a task to `details`, for the report."""
        entry = {"action": task.text, "object": task.subject, "estimated_s": round(estimate, 2)}
        if done:
            entry |= {"duration_s": round(done.seconds, 3), "before": done.before, "after": done.after}
        self.so_far.details["tasks"].append(entry)

    def _nothing(self) -> Finding:
        name = self.context.server.database
        return Finding(
            id="postgres.upkeep", subject=name, status=Status.OK, summary=f"Nothing is due in {name}."
        )


def _lines(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _not_here(context: Context, why: str, fix: str = "") -> Result:
    name = context.server.database
    finding = Finding(
        id="postgres.upkeep",
        subject=name,
        status=Status.SKIPPED,
        summary=f"Nothing was done in {name}: {why}.",
        fix=fix,
    )
    return Result(findings=[finding], msg=finding.summary)


def _lost(settings: DatabaseSettings, error: psycopg.Error) -> CourtkeeperError:
    return CourtkeeperError(
        f"the connection to {settings.where} was lost during the upkeep: see whether the server still runs, "
        f"then run it again ({why_lost(error)})"
    )


def _broken_off(settings: DatabaseSettings, error: psycopg.Error) -> CourtkeeperError:
    """Return what the server refused to the upkeep itself: its own notes, not one of its tasks."""
    if is_read_only(error):
        return ConfigurationError(
            f"sessions on {settings.where} may only read (default_transaction_read_only): "
            "run the upkeep as a role for which that is off"
        )
    mend = MEND_FILES if is_of_files(error) else "mend that"
    return CourtkeeperError(
        f"the upkeep of {settings.where} was broken off ({words(error)}): {mend}, then run it again"
    )
