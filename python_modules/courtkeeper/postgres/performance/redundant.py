"""Indexes that are in the way: a plan for review, of which exactly what is named is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.postgres import integrity
from courtkeeper.postgres.check import Context, choose, fetch
from courtkeeper.postgres.performance import plan as plans
from courtkeeper.postgres.performance.explain import explain
from courtkeeper.postgres.performance.record import Record
from courtkeeper.postgres.performance.statements import Statement

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
        if name not in kept or _exists(connection, name):
            near = get_close_matches(name, list(known), 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
            raise ConfigurationError(
                f"drop_indexes names {name!r}, which is not in the plan of indexes to drop: {hint}"
            )
    return [known[name] for name in dict.fromkeys(names) if name in known]


def _exists(connection: Connection, name: str) -> bool:
    with connection.transaction():
        row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return bool(row and row[0])


def drop(
    worker: Connection,
    entry: Entry,
    finding: Finding,
    statements: Sequence[Statement],
    version: int,
    record: Record,
) -> Finding:
    """Drop one index, unless it is busy or a costly statement would plan worse without it.

    In one transaction with a short exclusive lock, not CONCURRENTLY: that cannot be taken back, and leaves
    an invalid index where it is stopped half-way.
    """
    before = _costs(worker, statements, version)
    record.keep(entry.index, entry.recreate)
    statement = entry.drop.replace(" CONCURRENTLY", "").partition(" --")[0]
    try:
        worse = _tried(worker, statement, before, statements, version)
    except (errors.LockNotAvailable, errors.QueryCanceled):
        why = f"{entry.index} was not dropped: its table is in use, and nobody is kept waiting."
        return msgspec.structs.replace(
            finding, status=Status.SKIPPED, summary=why, fix="run it again at a quieter time"
        )
    except errors.DependentObjectsStillExist as error:
        why = f"{entry.index} was not dropped: {error.diag.message_primary}."
        return msgspec.structs.replace(finding, status=Status.WARN, summary=why, fix="leave it")
    if worse:
        why = f"{entry.index} was kept: without it {worse}."
        return msgspec.structs.replace(finding, status=Status.WARN, summary=why, fix="leave it")
    return msgspec.structs.replace(
        finding, status=Status.OK, applied=statement, summary=f"{finding.summary} It was dropped."
    )


def _tried(
    worker: Connection,
    statement: str,
    before: Mapping[str, float],
    statements: Sequence[Statement],
    version: int,
) -> str:
    """Run a statement, and take it back where it makes one of the costly statements dearer: return which."""
    worse = ""
    with worker.transaction() as transaction:
        worker.execute(statement.encode())
        worse = _worse(before, _costs(worker, statements, version), statements)
        if worse:
            raise psycopg.Rollback(transaction)
    return worse


def _costs(worker: Connection, statements: Sequence[Statement], version: int) -> Mapping[str, float]:
    return {one.queryid: plans.cost(explain(worker, one, version).plan) for one in statements}


def _worse(before: Mapping[str, float], after: Mapping[str, float], statements: Sequence[Statement]) -> str:
    for one in statements:
        was, now = before[one.queryid], after[one.queryid]
        if was and now > was * _DEARER:
            return f"the plan of {one.subject} would cost {now:,.0f} instead of {was:,.0f} ({one.shown})"
    return ""
