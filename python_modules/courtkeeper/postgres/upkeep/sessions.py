"""Ending other people's sessions: only where told, only of whom, and asked politely first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import msgspec
from psycopg import errors

from courtkeeper.database import Connection
from courtkeeper.findings import Finding, Status
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.query import structs
from courtkeeper.postgres.querytext import shape
from courtkeeper.postgres.upkeep.settings import Terminate
from courtkeeper.postgres.upkeep.sql import statement


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A session over a limit, as it was seen: idle in a transaction or at one query, since `since`.

    `query` is the last that it sent, with all that its author wrote into it: never shown as it is.
    """

    pid: int
    backend_start: datetime
    user: str
    application: str
    is_idle: bool
    since: datetime
    seconds: float
    query: str

    @property
    def name(self) -> str:
        """Return what a person knows it by. The application is what the client says it is."""
        application = f" ({self.application})" if self.application else ""
        return f"session {self.pid} of {self.user}{application}"

    @property
    def doing(self) -> str:
        """Return what it does, with its query but none of the values in it."""
        return f"{'idle in a transaction after' if self.is_idle else 'at'} {shape(self.query) or 'nothing'}"


def over(context: Context, told: Terminate) -> list[Session]:
    """Return the sessions of this database that are over a limit of `told` and may be ended, oldest first.

    Never Courtkeeper's own, those of the server itself (replication, autovacuum) or of a superuser who is
    not named.
    """
    if not (told.idle_in_transaction_s or told.query_s):
        return []
    with context.connection.transaction():
        cursor = context.connection.execute(
            statement("sessions"),
            {
                "idle_s": told.idle_in_transaction_s or None,
                "query_s": told.query_s or None,
                "users": list(told.allow_users),
                "never_users": list(told.never_users),
                "never_applications": list(told.never_applications),
            },
        )
        return structs(cursor, Session)


def found(session: Session, told: Terminate) -> Finding:
    """Return the finding of a session that is over its limit."""
    limit = told.idle_in_transaction_s if session.is_idle else told.query_s
    return Finding(
        id="postgres.upkeep.session",
        subject=f"pid {session.pid}",
        status=Status.WARN,
        summary=f"The {session.name} is {session.doing} for {session.seconds:.0f} s.",
        observed=round(session.seconds),
        threshold=limit,
        unit="s",
        # Run late, it ends nobody else's.
        fix="SELECT pg_terminate_backend(pid) FROM pg_stat_activity "  # noqa: S608 # a number and a time of the server's
        f"WHERE pid = {session.pid} AND backend_start = '{session.backend_start}';",
    )


def plan(session: Session) -> str:
    """Return what is done about a session, for `actions`."""
    how = "end" if session.is_idle else "cancel, and end where that does not help,"
    return f"{how} the {session.name}, {session.doing}"


def end(worker: Connection, session: Session, told: Terminate) -> tuple[Finding, bool]:
    """End a session if it is still at what it was seen at; return the finding and whether it was touched.

    A query is cancelled first, and its session ended where it goes on `grace_s` later.
    """
    finding = found(session, told)
    applied = ""
    for function in _steps(session):
        if not _signal(worker, session, function):
            break
        applied = f"SELECT {function}({session.pid});"
        if _went(worker, session, told.grace_s):
            break
    gone = not _is_there(worker, session)
    if not applied and gone:
        text = f"The {session.name} came to an end by itself."
        return msgspec.structs.replace(finding, status=Status.OK, summary=text, fix=""), False
    if not applied:
        text = f"{finding.summary} The role may not end it."
        fix = "GRANT pg_signal_backend to the upkeep's role; a superuser's session only a superuser may end"
        return msgspec.structs.replace(finding, status=Status.SKIPPED, summary=text, fix=fix), False
    if not gone:
        return msgspec.structs.replace(
            finding, summary=f"{finding.summary} It does not end.", applied=applied
        ), True
    how = "the query was cancelled" if "cancel" in applied else "the session was ended"
    return (
        msgspec.structs.replace(
            finding,
            status=Status.OK,
            summary=f"The {session.name} was {session.doing} for {session.seconds:.0f} s: {how}.",
            fix="",
            applied=applied,
            undo="-- cannot be taken back: what the transaction had not committed is rolled back",
        ),
        True,
    )


def _steps(session: Session) -> Iterator[str]:
    if not session.is_idle:  # there is nothing to cancel in one that is idle
        yield "pg_cancel_backend"
    yield "pg_terminate_backend"


def _same(session: Session) -> dict[str, object]:
    return {
        "pid": session.pid,
        "backend_start": session.backend_start,
        "is_idle": session.is_idle,
        "since": session.since,
    }


def _signal(worker: Connection, session: Session, function: str) -> bool:
    """Call `function` on the session if it is still at the same; False where it is not, or may not be."""
    try:
        row = worker.execute(
            statement("signal").replace("pg_cancel_backend", function), _same(session)
        ).fetchone()
    except errors.InsufficientPrivilege:
        return False
    return bool(row and row[0])


def _is_there(worker: Connection, session: Session) -> bool:
    return worker.execute(statement("still"), _same(session)).fetchone() is not None


def _went(worker: Connection, session: Session, seconds: float) -> bool:
    """Wait at most `seconds` until the session is no more at what it was at."""
    deadline = time.monotonic() + seconds
    while _is_there(worker, session):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True
