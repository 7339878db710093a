"""Run checks on a server: each in a read-only transaction of its own and bounded in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import errors

from courtkeeper import database
from courtkeeper.database import MEND_FILES, DatabaseSettings, is_of_files
from courtkeeper.findings import CourtkeeperError, Finding, Result, Status, by_severity, counted
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.check import Check, Context
from courtkeeper.postgres.refusal import why_lost, words
from courtkeeper.postgres.server import Server
from courtkeeper.postgres.settings import IntegritySettings

Progress = Callable[[int, int, str], None]
_DAMAGE = (errors.DataCorrupted, errors.IndexCorrupted)


def silent(_done: int, _total: int, _text: str) -> None:
    """Report no progress."""


def integrity(
    settings: DatabaseSettings,
    checks: Sequence[Check[Any]],
    told: IntegritySettings | None = None,
    *,
    progress: Progress = silent,
) -> Result:
    """Run `checks`, told what they need of `told`, and return their findings, the worst first.

    Nothing on the server is ever changed. Raises ConfigurationError or CourtkeeperError where the server
    cannot be reached; where it is lost on the way, what was found before is the error's `partial`.
    """
    started = time.monotonic()
    told = told or IntegritySettings()
    for check in checks:
        check.configure(told)
    result = Result()
    connection = database.connect(
        settings,
        purpose="postgres_integrity",
        lock_timeout_s=told.lock_timeout_s,
        statement_timeout_s=told.statement_timeout_s,
        catalog_only=True,
    )
    with connection:
        connection.read_only = True
        try:
            server = servers.look(connection)
        except psycopg.Error as error:
            raise _lost(settings, "looking what it is", error, result) from error
        for done, check in enumerate(checks):

            def tell(text: str, done: int = done) -> None:
                progress(done, len(checks), text)

            tell(check.title)
            context = Context(connection=connection, database=settings, server=server, tell=tell)
            try:
                # One by one: what was found before the server was lost is kept.
                for finding in run(check, context):
                    result.findings.append(finding)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise _lost(settings, f"looking for {check.title}", error, result) from error
            except CourtkeeperError as error:
                error.partial = error.partial or _sorted(result)
                raise
    _sorted(result)
    result.metrics["duration_s"] = round(time.monotonic() - started, 3)
    result.metrics["checks"] = len(checks)
    result.msg = sentence(server, result.findings)
    return result


def run(check: Check[Any], context: Context) -> Iterator[Finding]:
    """Run one check: its findings, or the one that says that all is well, or why it could not be done.

    Raises OperationalError or InterfaceError where the connection is lost.
    """
    if unable := check.unable(context.server):
        yield unable
        return
    found = False
    try:
        for finding in check.search(context):
            found = True
            yield finding
    except psycopg.Error as error:
        if context.connection.closed or isinstance(error, psycopg.InterfaceError):
            raise
        if _lost_a_server(error):
            raise
        yield _not_done(check, context.server, error)
        return
    if not found:
        yield check.clean(context.server)


def _lost_a_server(error: psycopg.Error) -> bool:
    """Whether a connection of the check's own was lost: an error that no server has sent."""
    return isinstance(error, psycopg.OperationalError) and (
        error.sqlstate is None or isinstance(error, errors.AdminShutdown | errors.CrashShutdown)
    )


def _not_done(check: Check[Any], server: Server, error: psycopg.Error) -> Finding:
    """Return why a check could not be done: a lock, its time, rights, or damage that it ran into."""
    text = words(error)
    status, why, fix = Status.UNKNOWN, text, "report this: the check should know better"
    if isinstance(error, _DAMAGE):
        status, fix = Status.CRIT, "check the group corruption, which names what is damaged"
    elif isinstance(error, errors.LockNotAvailable):
        status, why, fix = Status.SKIPPED, "an object is locked by somebody else", "try later"
    elif isinstance(error, errors.QueryCanceled):
        status, why = Status.SKIPPED, "it took longer than its time"
        fix = "raise statement_timeout_s, or run it at a quieter time"
    elif is_of_files(error):
        status, fix = Status.CRIT, MEND_FILES
    elif isinstance(error, errors.InsufficientPrivilege):
        # Who has the rights of pg_monitor lacks those on somebody's data (the role came with version 14).
        right = "pg_read_all_data" if server.monitor and server.version >= 14 else "pg_monitor"
        status, fix = Status.SKIPPED, f"{server.grant(right)} -- or more"
    elif isinstance(error, psycopg.OperationalError):
        fix = "look into the server's log, mend what it says and check again"
    summary = f"{check.title.capitalize()} were not looked for: {why}."
    return check.finding(server.database, status, summary, fix=fix)


def _lost(settings: DatabaseSettings, doing: str, error: psycopg.Error, result: Result) -> CourtkeeperError:
    lost = CourtkeeperError(
        f"the connection to {settings.where} was lost while {doing}: "
        f"see whether the server still runs, then check again ({why_lost(error)})"
    )
    lost.partial = _sorted(result)
    return lost


def _sorted(result: Result) -> Result:
    result.findings = by_severity(result.findings)
    return result


def sentence(server: Server, findings: Sequence[Finding]) -> str:
    """Return one sentence on all findings."""
    return f"{server.database} on Postgres {server.version}: {counted(findings) or 'nothing was asked'}."
