"""Look at a database's performance, and change what was named."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from courtkeeper import database
from courtkeeper.database import MEND_FILES, Connection, DatabaseSettings, is_of_files
from courtkeeper.findings import CourtkeeperError, Finding, Result, Status, by_severity
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.integrity import Progress, sentence, silent
from courtkeeper.postgres.performance import history, indexes, redundant, statements, tuning
from courtkeeper.postgres.performance import plan as plans
from courtkeeper.postgres.performance.explain import Planned, explain
from courtkeeper.postgres.performance.history import Interval
from courtkeeper.postgres.performance.machine import machine
from courtkeeper.postgres.performance.record import Record
from courtkeeper.postgres.performance.settings import PerformanceSettings
from courtkeeper.postgres.performance.statements import Statement
from courtkeeper.postgres.refusal import is_lost, why_lost, words

_PURPOSE = "postgres_performance"


def performance(
    settings: DatabaseSettings,
    told: PerformanceSettings,
    *,
    check_mode: bool = False,
    progress: Progress = silent,
) -> Result:
    """Look at the statements, indexes and settings of a database and return advice, the worst first.

    Only what `told` names is changed. `details.performance` holds the table of statements. Raises
    ConfigurationError before anything is changed; where the server is lost on the way, what was found and
    done before is the error's `partial`.
    """
    started = time.monotonic()
    tuning.refuse_unknown(told.apply_settings)
    with _connections(settings, told) as (worker, laboratory, reader):
        try:
            context = Context(connection=reader, database=settings, server=servers.look(reader))
        except psycopg.Error as error:
            raise _lost(settings, error, Result()) from error
        run = _Run(context, worker, laboratory, told, progress, check_mode=check_mode)
        try:
            run.everything()
        except psycopg.Error as error:
            raise _lost(settings, error, run.finished(started)) from error
        except CourtkeeperError as error:
            error.partial = run.finished(started)
            raise
        return run.finished(started)


@contextmanager
def _connections(
    settings: DatabaseSettings, told: PerformanceSettings
) -> Iterator[tuple[Connection, Connection, Connection]]:
    """Open one connection that changes things, one for what is never committed, and one that only reads."""

    def opened() -> Connection:
        return database.connect(
            settings,
            purpose=_PURPOSE,
            lock_timeout_s=told.lock_timeout_s,
            statement_timeout_s=told.statement_timeout_s,
            catalog_only=True,
        )

    with opened() as worker, opened() as laboratory, opened() as reader:
        worker.autocommit = laboratory.autocommit = True
        reader.read_only = True
        yield worker, laboratory, reader


class _Run:
    """One run; what it has found and done so far stays readable when it ends in the middle."""

    def __init__(
        self,
        context: Context,
        worker: Connection,
        laboratory: Connection,
        told: PerformanceSettings,
        progress: Progress,
        *,
        check_mode: bool,
    ) -> None:
        self.context, self.worker, self.laboratory = context, worker, laboratory
        self.told, self.progress = told, progress
        self.check_mode = check_mode
        self.record = Record(told.state_directory, context.server.database)
        if (told.apply_settings or told.drop_indexes) and not check_mode:
            self.record.ready()
        self.result = Result()
        self.planned: list[tuple[Statement, Planned]] = []
        self.diff: list[tuple[str, str]] = []

    def everything(self) -> None:
        """Do every part that was chosen."""
        parts: list[tuple[str, str, Callable[[], None]]] = [
            ("statements", "the statements", self._statements),
            ("indexes", "the indexes", self._indexes),
            ("redundant_indexes", "the redundant indexes", self._redundant),
            ("settings", "the settings", self._settings),
        ]
        # Indexes are looked for, and dropped, by the plans of the statements.
        by_plans = self.told.wants("indexes") or bool(self.told.drop_indexes)
        chosen = [
            part for part in parts if self.told.wants(part[0]) or (part[0] == "statements" and by_plans)
        ]
        for number, (name, text, work) in enumerate(chosen):
            self.progress(number, len(chosen), text)
            try:
                work()
            except psycopg.Error as error:
                if is_lost(error, self.context.connection, self.worker, self.laboratory):
                    raise
                self.result.findings.append(_not_done(name, text, self.context, error))

    def finished(self, started: float) -> Result:
        """Return what was found and done so far."""
        result = self.result
        result.findings = by_severity(result.findings)
        result.changed = bool(result.actions)
        result.metrics["duration_s"] = round(time.monotonic() - started, 3)
        if self.diff:
            result.diff = {
                "before": "".join(f"{before}\n" for before, _ in self.diff if before),
                "after": "".join(f"{after}\n" for _, after in self.diff if after),
            }
        verb = "to do" if self.check_mode else "done"
        told = f"{len(result.actions)} changes {verb}; " if result.actions else ""
        result.msg = told + sentence(self.context.server, result.findings)
        return result

    def _statements(self) -> None:
        lack = statements.unable(self.context)
        if lack is not None:
            self.result.findings.append(lack)
            return
        told, database = self.told, self.context.server.database
        top = statements.top(self.context, told)
        self.result.findings += statements.judge(top, told, database)
        past, lack = history.look(self.context, top)
        self.result.findings += [lack] if lack else history.judge(database, top, past, told)
        for number, one in enumerate(top):
            self.progress(number, len(top), f"the plan of {one.subject}")
            its = explain(self.context.connection, one, self.context.server.version, analyze=told.analyze)
            self.planned.append((one, its))
        self.result.metrics["statements"] = len(top)
        self.result.metrics["plans"] = sum(bool(its.plan) for _, its in self.planned)
        shown = indexes.pictures(self.planned)
        self.result.details["performance"] = {
            "statements": [_row(one, past.get(one.queryid, []), shown[one.queryid]) for one in top]
        }

    def _indexes(self) -> None:
        if self.planned:
            self.result.findings += indexes.look(self.context, self.laboratory, self.planned, self.told)

    def _redundant(self) -> None:
        plan, findings = redundant.look(self.context)
        self.result.details["plan"] = [msgspec.to_builtins(entry) for entry in plan]
        chosen = redundant.named(plan, self.told.drop_indexes, self.record, self.context.connection)
        self.result.findings += findings
        for entry in chosen:
            seen = next(one for one in findings if (one.subject, one.id) == (entry.index, entry.id))
            if self.check_mode or self._dropped(entry, seen).applied:
                self.result.actions.append(f"drop the index {entry.index}")
                self.diff.append((entry.recreate, ""))

    def _dropped(self, entry: redundant.Entry, seen: Finding) -> Finding:
        """Drop one index, or find that it stays; the finding of it takes the place of `seen`."""
        told, version = self.told, self.context.server.version
        # A plan without any index cannot miss one.
        concerned = [one for one, its in self.planned if plans.uses_index(its.plan)]
        gate = redundant.Gate(concerned, version, told.lock_timeout_s)
        try:
            finding = redundant.drop(self.worker, entry, seen, gate, self.record)
        except psycopg.Error:
            self._replace(seen, _unknown(seen, f"dropped the index {entry.index}"))
            raise
        self._replace(seen, finding)
        return finding

    def _replace(self, seen: Finding, finding: Finding) -> None:
        findings = self.result.findings
        findings[findings.index(seen)] = finding

    def _settings(self) -> None:
        context = self.context
        known = tuning.facts(context, machine(context.database, self.told))
        findings = list(tuning.look(context, known))
        self.result.findings += findings
        for advice in tuning.open_advice(context, known):
            if advice.name not in self.told.apply_settings:
                continue
            seen = next(one for one in findings if (one.id, one.subject) == (tuning.ID, advice.name))
            try:
                applied = tuning.apply(
                    self.worker, context, known, advice, self.record, check_mode=self.check_mode
                )
            except psycopg.Error as error:
                if is_lost(error, self.worker, context.connection):
                    self._replace(seen, _unknown(seen, f"set {advice.name} to {advice.value}"))
                    raise
                applied = tuning.refused(seen, error)
            self._replace(seen, applied.finding)
            if applied.action:
                self.result.actions.append(applied.action)
                now = known.settings[advice.name].shown
                self.diff.append((f"{advice.name} = {now}", f"{advice.name} = {advice.value}"))


def _row(one: Statement, past: Sequence[Interval], plan: list[str] | str) -> dict[str, Any]:
    """Return a statement's row of the report's table; `trend` holds its mean from snapshot to snapshot."""
    return {
        "queryid": one.queryid,
        "role": one.role,
        "text": one.shown,
        "calls": one.calls,
        "total_ms": round(one.total_ms, 3),
        "mean_ms": round(one.mean_ms, 3),
        "max_ms": round(one.max_ms, 3),
        "rows": one.rows,
        "share": round(one.share, 4),
        "read_bytes": one.read_bytes,
        "temp_bytes": one.temp_bytes,
        "among": list(one.among),
        "trend": [
            [interval.until.isoformat(), None if interval.mean_ms is None else round(interval.mean_ms, 3)]
            for interval in past
        ],
        "plan": plan,
    }


def _unknown(seen: Finding, what: str) -> Finding:
    """Return the finding of a change during which the server was lost."""
    return msgspec.structs.replace(
        seen,
        status=Status.UNKNOWN,
        summary=f"{seen.summary} The server was lost at the change: whether it has {what} is not known.",
        fix="run it again when the server is back: it looks anew",
    )


def _not_done(part: str, text: str, context: Context, error: psycopg.Error) -> Finding:
    why = words(error)
    status, fix = Status.UNKNOWN, "report this: the question should know better"
    if isinstance(error, errors.LockNotAvailable):
        status, why, fix = Status.SKIPPED, "an object is locked by somebody else", "try later"
    elif isinstance(error, errors.QueryCanceled):
        status, why, fix = Status.SKIPPED, "it took longer than its time", "raise statement_timeout_s"
    elif is_of_files(error):
        status, fix = Status.CRIT, MEND_FILES
    elif isinstance(error, errors.InsufficientPrivilege):
        status, fix = Status.SKIPPED, f"{context.server.grant('pg_monitor')} -- or more"
    return Finding(
        id=f"postgres.performance.{part}",
        subject=context.server.database,
        status=status,
        summary=f"What {text} lack was not found out: {why}.",
        fix=fix,
    )


def _lost(settings: DatabaseSettings, error: psycopg.Error, partial: Result) -> CourtkeeperError:
    lost = CourtkeeperError(
        f"the connection to {settings.where} was lost on the way: see whether the server still runs, "
        f"then run it again ({why_lost(error)})"
    )
    lost.partial = partial
    return lost
