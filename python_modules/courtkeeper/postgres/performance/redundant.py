"""Indexes that are in the way: a plan for review, of which exactly what is named is dropped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.database import MEND_FILES, Connection, is_of_files
from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.postgres import integrity
from courtkeeper.postgres.check import Context, choose, fetch
from courtkeeper.postgres.performance import plan as plans
from courtkeeper.postgres.performance.explain import explain
from courtkeeper.postgres.performance.record import Record
from courtkeeper.postgres.performance.statements import Statement
from courtkeeper.postgres.refusal import is_lost, words

# A redundant index that also is unused is dropped for the first reason.
CHECKS = ("indexes.duplicate", "indexes.overlapping", "indexes.unused")
_DEARER = 1.1  # estimates move by themselves a little


class Entry(msgspec.Struct, frozen=True):
    """An index that can go: `drop` does it, `recreate` brings it back, `reason` says why."""

    index: str
    check: str
    reason: str
    drop: str
    recreate: str

    @property
    def id(self) -> str:
        """Return the id of the finding that it was made of."""
        return f"postgres.{self.check}"


def look(context: Context) -> tuple[list[Entry], list[Finding]]:
    """Return the plan, and the findings that it is made of.

    An index that stays because it does the work of another one of the plan is not in it, used or not.
    """
    found: dict[str, Entry] = {}
    findings: list[Finding] = []
    kept: set[str] = set()
    for check in choose(names=CHECKS):
        for finding in integrity.run(check, context):
            if finding.status is Status.WARN and (finding.subject in found or finding.subject in kept):
                continue
            findings.append(finding)
            if finding.status is Status.WARN:
                found[finding.subject] = Entry(
                    finding.subject, f"{check.group}.{check.name}", finding.summary, finding.fix, finding.undo
                )
        if not check.unable(context.server) and check.name != "unused":
            with context.connection.transaction():
                kept |= {row.kept_name for row in fetch(context, check)}
    return list(found.values()), findings


def named(plan: Sequence[Entry], names: Sequence[str], record: Record, connection: Connection) -> list[Entry]:
    """Return the entries of the plan that are named; those that were dropped before are done.

    Raises ConfigurationError for a name that is in neither.
    """
    known = {entry.index: entry for entry in plan}
    wrong = [name for name in names if name not in known]
    kept = record.kept() if wrong else set()
    for name in wrong:
        if record.title(name) not in kept or _exists(connection, name):
            near = get_close_matches(name, list(known), 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            raise ConfigurationError(
                f"drop_indexes names {name!r}, which is not in the plan of indexes to drop: {hint}"
            )
    return [known[name] for name in dict.fromkeys(names) if name in known]


def _exists(connection: Connection, name: str) -> bool:
    with connection.transaction():
        row = connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL", [name if "." in name else f"public.{name}"]
        ).fetchone()
    return bool(row and row[0])


class Gate(msgspec.Struct, frozen=True):
    """The plans that a drop is held against: of `statements`, compared within `seconds` under its lock."""

    statements: Sequence[Statement]
    version: int
    seconds: float


class _Unknown(Exception):  # noqa: N818 # an answer that is missing, not an error of the program
    """Whether a statement's plan would be dearer cannot be told."""


def drop(worker: Connection, entry: Entry, finding: Finding, gate: Gate, record: Record) -> Finding:
    """Drop one index, unless it is busy or a costly statement would plan worse without it.

    In one transaction with a short exclusive lock, not CONCURRENTLY: that cannot be taken back, and leaves
    an invalid index where it is stopped half-way. Raises psycopg.Error where the server is lost.
    """
    statement = f"DROP INDEX {entry.index};"
    try:
        before = _costs(worker, gate)
        record.keep(entry.index, entry.recreate)
        worse = _tried(worker, statement, before, gate)
    except _Unknown as error:
        why = f"{entry.index} was not dropped: {error}."
        return msgspec.structs.replace(
            finding, status=Status.SKIPPED, summary=why, fix="run it again at a quieter time"
        )
    except (errors.LockNotAvailable, errors.QueryCanceled):
        why = f"{entry.index} was not dropped: its table is in use, and nobody is kept waiting."
        return msgspec.structs.replace(
            finding, status=Status.SKIPPED, summary=why, fix="run it again at a quieter time"
        )
    except errors.DependentObjectsStillExist as error:
        why = f"{entry.index} was not dropped: {words(error)}."
        return msgspec.structs.replace(finding, status=Status.WARN, summary=why, fix="leave it")
    except errors.InsufficientPrivilege as error:
        why = f"{entry.index} was not dropped: {words(error)}."
        status, fix = Status.SKIPPED, "run it as the owner of its table or as a superuser"
        if is_of_files(error):
            status, fix = Status.CRIT, MEND_FILES
        return msgspec.structs.replace(finding, status=status, summary=why, fix=fix)
    except psycopg.Error as error:
        if is_lost(error, worker):
            raise
        why = f"{entry.index} was not dropped: {words(error)}."
        return msgspec.structs.replace(finding, status=Status.UNKNOWN, summary=why)
    if worse:
        why = f"{entry.index} was kept: without it {worse}."
        return msgspec.structs.replace(finding, status=Status.WARN, summary=why, fix="leave it")
    return msgspec.structs.replace(
        finding, status=Status.OK, applied=statement, summary=f"{finding.summary} It was dropped."
    )


def _tried(worker: Connection, statement: str, before: Mapping[str, float], gate: Gate) -> str:
    """Run a statement, and take it back where it makes one of the costly statements dearer: return which.

    Everybody who wants the table waits meanwhile, as behind a statement that waits for its lock: no longer.
    """
    worse = ""
    with worker.transaction() as transaction:
        worker.execute(statement.encode())
        worse = _worse(before, _costs(worker, gate, deadline=time.monotonic() + gate.seconds), gate)
        if worse:
            raise psycopg.Rollback(transaction)
    return worse


def _costs(worker: Connection, gate: Gate, deadline: float | None = None) -> Mapping[str, float]:
    """Return the cost of each plan that an index is part of; raise _Unknown where one cannot be had."""
    costs = {}
    for one in gate.statements:
        if deadline is not None:
            left_ms = round((deadline - time.monotonic()) * 1000)
            if left_ms <= 0:
                raise _Unknown(
                    f"to compare the plans takes longer than its table may be locked ({gate.seconds:g} s)"
                )
            worker.execute(
                "SELECT set_config('statement_timeout', %(ms)s, true),"
                " set_config('lock_timeout', %(ms)s, true)",
                {"ms": str(left_ms)},
            )
        planned = explain(worker, one, gate.version)
        if not planned.plan:
            raise _Unknown(f"whether {one.subject} needs it cannot be told ({planned.why})")
        costs[one.queryid] = plans.cost(planned.plan)
    return costs


def _worse(before: Mapping[str, float], after: Mapping[str, float], gate: Gate) -> str:
    for one in gate.statements:
        was, now = before[one.queryid], after[one.queryid]
        if now > was * _DEARER:
            return f"the plan of {one.subject} would cost {now:,.0f} instead of {was:,.0f} ({one.shown})"
    return ""
