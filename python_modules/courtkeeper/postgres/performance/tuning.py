"""Advice on a server's settings, and its application where it is told: by name, and with an undo."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from difflib import get_close_matches

import msgspec
import psycopg
from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Status
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.performance.advice import (
    ASKED,
    RULES,
    Advice,
    Facts,
    Machine,
    Setting,
    Workload,
    advise,
    pool_size,
)
from courtkeeper.postgres.performance.record import Record
from courtkeeper.postgres.performance.sql import rows
from courtkeeper.postgres.refusal import is_lost, words

ID = "postgres.performance.setting"
_RELOAD_S = 10.0
# A fifth of ten million rows may die before autovacuum comes: those get a hundredth (manual, Table Storage
# Parameters, on lowering the factor for large tables).
_LARGE = {"rows": 10_000_000, "scale_factor": 0.05}
_POOL_FACTOR = 4
_OF_FILES = ("default", "configuration file")


class _Checkpoints(msgspec.Struct, frozen=True):
    timed: int
    requested: int


class _Line(msgspec.Struct, frozen=True):
    name: str
    setting: str
    automatic: bool


class _LargeTable(msgspec.Struct, frozen=True):
    table_name: str
    rows: int
    scale_factor: float


def facts(context: Context, machine: Machine) -> Facts:
    """Ask the server what advice rests on."""
    connection = context.connection
    settings = {one.name: one for one in rows(connection, "server_settings", Setting, {"names": list(ASKED)})}
    (workload,) = rows(connection, "workload", Workload)
    view = "checkpoints_17" if context.server.version >= 17 else "checkpoints"
    (checkpoints,) = rows(connection, view, _Checkpoints)
    workload = msgspec.structs.replace(
        workload, checkpoints_timed=checkpoints.timed, checkpoints_requested=checkpoints.requested
    )
    return Facts(machine, workload, settings)


def refuse_unknown(names: Sequence[str]) -> None:
    """Raise ConfigurationError for a setting that no advice is given on."""
    for name in names:
        if name not in RULES:
            near = get_close_matches(name, list(RULES), 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RULES)}"
            raise ConfigurationError(f"apply_settings names {name!r}, on which no advice is given: {hint}")


def look(context: Context, known: Facts) -> Iterator[Finding]:
    """Yield the advice as findings; where there is none, the one that says so."""
    found = [_finding(known, one, _undo(context, one.name, one.value)) for one in open_advice(context, known)]
    found += _pending(known)
    found += _large_tables(context)
    found += _pool(known)
    yield from found
    if not any(one.status is not Status.OK for one in found):
        yield Finding(
            id=ID,
            subject=context.server.database,
            status=Status.OK,
            summary=f"The {len(known.settings)} settings that advice is given on need none.",
        )
    if not (known.machine.memory and known.machine.cpus):
        yield Finding(
            id=ID,
            subject=context.server.database,
            status=Status.SKIPPED,
            summary="No advice on memory and workers was given: the server's machine is not this one.",
            fix="say what it has by memory_mb and cpus",
        )


def _finding(known: Facts, advice: Advice, undo: str) -> Finding:
    now = known.settings[advice.name]
    restart = now.context == "postmaster"
    return Finding(
        id=ID,
        subject=advice.name,
        status=Status.WARN,
        observed=now.shown,
        threshold=advice.value,
        summary=(
            f"{advice.name} is {now.shown} and should be {advice.value}: {advice.reason} ({advice.source})."
        ),
        fix=f"ALTER SYSTEM SET {advice.name} = '{advice.value}'; SELECT pg_reload_conf();"
        + (" -- takes a restart" if restart else ""),
        undo=undo,
    )


def _pending(known: Facts) -> list[Finding]:
    return [
        Finding(
            id="postgres.performance.pending_restart",
            subject=one.name,
            status=Status.WARN,
            observed=one.shown,
            summary=f"{one.name} is still {one.shown}: the value in the files takes a restart.",
            fix="restart the server at a quiet time",
        )
        for one in known.settings.values()
        if one.pending_restart
    ]


def _large_tables(context: Context) -> list[Finding]:
    return [
        Finding(
            id="postgres.performance.autovacuum",
            subject=one.table_name,
            status=Status.WARN,
            observed=one.scale_factor,
            threshold=_LARGE["scale_factor"],
            summary=(
                f"Autovacuum comes to {one.table_name} only when {one.scale_factor * one.rows:,.0f} of its "
                f"{one.rows:,} rows are dead (the Postgres manual, Automatic Vacuuming)."
            ),
            fix=f"ALTER TABLE {one.table_name} SET (autovacuum_vacuum_scale_factor = 0.01);",
            undo=f"ALTER TABLE {one.table_name} RESET (autovacuum_vacuum_scale_factor);",
        )
        for one in rows(context.connection, "large_tables", _LargeTable, _LARGE)
    ]


def _pool(known: Facts) -> list[Finding]:
    if not known.machine.cpus:
        return []
    best, clients = pool_size(known.machine.cpus), known.workload.clients
    many = clients > _POOL_FACTOR * best
    return [
        Finding(
            id="postgres.performance.pool_size",
            subject="connection pools",
            status=Status.WARN if many else Status.OK,
            observed=clients,
            threshold=_POOL_FACTOR * best,
            unit="connections",
            summary=(
                f"{clients} clients are connected; {known.machine.cpus} CPUs keep about {best} busy "
                "(PostgreSQL wiki, Number Of Database Connections)."
            ),
            fix=f"let the pools of all applications together hold about {best} connections" if many else "",
        )
    ]


def _in_files(context: Context, name: str) -> list[_Line]:
    if not context.server.superuser:
        return []
    return rows(context.connection, "setting_files", _Line, {"names": [name]})


def _undo(context: Context, name: str, advised: str) -> str:
    """Return what brings back the line of postgresql.auto.conf, or that there is none."""
    ours = [line.setting for line in _in_files(context, name) if line.automatic]
    # What is advised already: left by a run that was killed before the server read it.
    if not ours or ours[-1] == advised:
        return f"ALTER SYSTEM RESET {name}; SELECT pg_reload_conf();"
    return f"{_altered(context.connection, name, ours[-1])}; SELECT pg_reload_conf();"


def _altered(connection: Connection, name: str, value: str) -> str:
    return (
        sql.SQL("ALTER SYSTEM SET {} = {}")
        .format(sql.Identifier(name), sql.Literal(value))
        .as_string(connection)
    )


class Applied(msgspec.Struct, frozen=True):
    """What came of one setting: the finding, and the action, empty where nothing was to be done."""

    finding: Finding
    action: str = ""


def open_advice(context: Context, known: Facts) -> list[Advice]:
    """Return the advice that is not in the files yet, waiting for a restart."""
    found = []
    for advice in advise(known):
        lines = _in_files(context, advice.name)
        same = not lines or lines[-1].setting == advice.value
        if not (known.settings[advice.name].pending_restart and same):
            found.append(advice)
    return found


def apply(
    worker: Connection,
    context: Context,
    known: Facts,
    advice: Advice,
    record: Record,
    *,
    check_mode: bool,
) -> Applied:
    """Set one setting as advised, and see that the server takes it; else put back what was.

    One whose value comes from elsewhere, such as the server's command line, is left alone.
    """
    now, undo = known.settings[advice.name], _undo(context, advice.name, advice.value)
    finding = _finding(known, advice, undo)
    if now.source not in _OF_FILES:
        why = f"its value comes from another place ({now.source}), which the files do not override"
        return Applied(_said(finding, f"It was not changed: {why}.", fix="change it there"))
    if not context.server.superuser:
        why = f"ALTER SYSTEM is a superuser's, which {context.server.role} is not"
        return Applied(_said(finding, f"It was not changed: {why}.", fix=finding.fix))
    statement = _altered(worker, advice.name, advice.value)
    action = f"set {advice.name} from {now.shown} to {advice.value}"
    if now.context == "postmaster":
        action += ", in effect from the next restart"
    if check_mode:
        return Applied(finding, action)
    record.keep(f"{advice.name} = {advice.value}", undo)
    worker.execute(statement.encode())
    try:
        taken = _reloaded(worker, advice.name, now)
    except psycopg.Error as error:
        if is_lost(error, worker):
            raise
        why = f"whether the server takes {advice.name} = {advice.value} cannot be seen ({words(error)})"
        raise _taken_back(worker, undo, why) from error
    if taken is None:
        why = f"the server does not take {advice.name} = {advice.value} within {_RELOAD_S:.0f} s"
        raise _taken_back(worker, undo, why)
    waits = " It takes a restart of the server." if taken.pending_restart else ""
    return Applied(
        msgspec.structs.replace(
            finding,
            status=Status.WARN if taken.pending_restart else Status.OK,
            summary=f"{advice.name} was {now.shown} and is set to {advice.value}: {advice.reason} "
            f"({advice.source}).{waits}",
            applied=f"{statement}; SELECT pg_reload_conf();",
            fix="restart the server at a quiet time" if taken.pending_restart else "",
        ),
        action,
    )


def _taken_back(worker: Connection, undo: str, why: str) -> CourtkeeperError:
    """Put back what was in the files; return the error that says so, or what a person has to run."""
    try:
        for back in undo.rstrip(";").split("; "):
            worker.execute(back.encode())
    except psycopg.Error as error:
        return CourtkeeperError(f"{why}, and what was before could not be put back ({words(error)}): {undo}")
    return CourtkeeperError(f"{why}: what was before is in the files again; look into the server's log")


def refused(seen: Finding, error: psycopg.Error) -> Applied:
    """Return what is said of a setting that the server does not let be changed (allow_alter_system, 17)."""
    return Applied(_said(seen, f"It was not changed: {words(error)}.", fix="change it where it is kept"))


def _reloaded(worker: Connection, name: str, before: Setting) -> Setting | None:
    """Have the files read, and return the setting once it is another or waits for a restart."""
    worker.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + _RELOAD_S
    while time.monotonic() < deadline:
        (now,) = rows(worker, "server_settings", Setting, {"names": [name]})
        if now.setting != before.setting or now.pending_restart:
            return now
        time.sleep(0.02)
    return None


def _said(finding: Finding, summary: str, fix: str) -> Finding:
    return msgspec.structs.replace(
        finding, status=Status.SKIPPED, summary=f"{finding.summary} {summary}", fix=fix, undo=""
    )
