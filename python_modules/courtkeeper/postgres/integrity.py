"""Run checks on a server: each in a read-only transaction of its own and bounded in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from courtkeeper import database
from courtkeeper.database import Connection, DatabaseSettings
from courtkeeper.findings import CourtkeeperError, Finding, Result, Status, by_severity
from courtkeeper.postgres import server as servers
from courtkeeper.postgres.check import Check
from courtkeeper.postgres.server import Server

# A check reads catalogs; one that waits is reported as skipped, never waited for.
LOCK_TIMEOUT_S = 2.0
STATEMENT_TIMEOUT_S = 60.0

Progress = Callable[[int, int, str], None]


def silent(_done: int, _total: int, _text: str) -> None:
    """Report no progress."""


def integrity(
    settings: DatabaseSettings,
    checks: Sequence[Check[Any]],
    *,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    progress: Progress = silent,
) -> Result:
    """Run `checks` and return their findings, the worst first.

    Nothing is ever changed. Raises ConfigurationError or CourtkeeperError where the server cannot be
    reached; where it is lost on the way, what was found before is the error's `partial`.
    """
    started = time.monotonic()
    result = Result()
    connection = database.connect(
        settings,
        purpose="postgres_integrity",
        lock_timeout_s=lock_timeout_s,
        statement_timeout_s=statement_timeout_s,
    )
    with connection:
        connection.read_only = True
        server = servers.look(connection)
        for done, check in enumerate(checks):
            progress(done, len(checks), check.title)
            try:
                result.findings += run(connection, check, server)
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                raise _lost(settings, check, error, result) from error
    result.findings = by_severity(result.findings)
    result.metrics["duration_s"] = round(time.monotonic() - started, 3)
    result.metrics["checks"] = len(checks)
    result.msg = sentence(server, result.findings)
    return result


def run(connection: Connection, check: Check[Any], server: Server) -> list[Finding]:
    """Run one check: its findings, or the one that says that all is well, or why it could not be done."""
    if unable := check.unable(server):
        return [unable]
    try:
        with connection.transaction():
            rows = fetch(connection, check, server)
    except errors.LockNotAvailable:
        return [_not_done(check, server, Status.SKIPPED, "an object is locked by somebody else", "try later")]
    except errors.QueryCanceled:
        fix = "raise statement_timeout_s, or run it at a quieter time"
        return [_not_done(check, server, Status.SKIPPED, "it took longer than its time", fix)]
    except errors.InsufficientPrivilege as error:
        why = str(error.diag.message_primary)
        return [
            _not_done(check, server, Status.SKIPPED, why, f'GRANT pg_monitor TO "{server.role}"; (or more)')
        ]
    except (psycopg.ProgrammingError, psycopg.DataError, psycopg.InternalError) as error:
        why = str(error.diag.message_primary or error).splitlines()[0]
        return [_not_done(check, server, Status.UNKNOWN, why, "report this: the check should know better")]
    return list(check.findings(rows)) or [check.clean(server)]


def fetch(connection: Connection, check: Check[Any], server: Server) -> list[Any]:
    """Return the rows of the check's statement as the structs it wants."""
    cursor = connection.execute(check.sql(server).encode(), check.parameters())
    names = [column.name for column in cursor.description or ()]
    return [msgspec.convert(dict(zip(names, row, strict=True)), check.row, strict=False) for row in cursor]


def _not_done(check: Check[Any], server: Server, status: Status, why: str, fix: str) -> Finding:
    summary = f"{check.title.capitalize()} were not looked for: {why.rstrip('.')}."
    return check.finding(server.database, status, summary, fix=fix)


def _lost(
    settings: DatabaseSettings, check: Check[Any], error: psycopg.Error, result: Result
) -> CourtkeeperError:
    text = " ".join(str(error).split())[:160]
    lost = CourtkeeperError(
        f"the connection to {settings.where} was lost while looking for {check.title}: "
        f"see whether the server still runs, then check again ({text})"
    )
    lost.partial = result
    return lost


def sentence(server: Server, findings: Sequence[Finding]) -> str:
    """Return one sentence on all findings."""
    count = {status: sum(finding.status is status for finding in findings) for status in Status}
    parts = [
        f"{number} {word}"
        for status, word in (
            (Status.CRIT, "critical"),
            (Status.WARN, "to look at"),
            (Status.UNKNOWN, "unknown"),
            (Status.SKIPPED, "not done"),
            (Status.OK, "good"),
        )
        if (number := count[status])
    ]
    return f"{server.database} on Postgres {server.version}: {', '.join(parts) or 'nothing was asked'}."
