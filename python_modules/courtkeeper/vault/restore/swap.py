"""Swapping in: in one transaction every restored database gets its name, and what had it another.

Renaming needs that nobody is connected. Where sessions may be ended, they are ended while the rename waits
with the database's lock in its hands, so that nobody new comes in between.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import psycopg
from psycopg import errors, sql

from courtkeeper.database import Connection
from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.context import Trace
from courtkeeper.vault.restore import sides
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.restore.sides import Side

_SESSIONS = """
SELECT pid, coalesce(usename, ''), application_name FROM pg_stat_activity
 WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY 1
"""
_END = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = ANY(%s) AND backend_type <> 'autovacuum worker'
"""
_EVERY_S = 0.05


class Swap(msgspec.Struct, frozen=True, kw_only=True):
    """`restored` gets the name `database`; what had it, if anything, becomes `former`."""

    database: str
    restored: str
    former: str
    side: Side


def sessions(connection: Connection, database: str) -> list[str]:
    """Return who is connected to a database: `api as nba (pid 17)`."""
    return [
        f"{application or 'a program'} as {user} (pid {pid})"
        for pid, user, application in connection.execute(_SESSIONS, (database,))
    ]


def swap(
    connection: Connection,
    target: Target,
    swaps: Sequence[Swap],
    now: datetime,
    *,
    end_sessions: bool,
    trace: Trace,
) -> Mapping[str, str]:
    """Swap all or none; return the former name of each database that was there.

    Raises RestoreError where sessions are in the way and may not be ended: then nothing has changed.
    """
    there = {str(name) for (name,) in connection.execute("SELECT datname FROM pg_database")}
    replaced = [each for each in swaps if each.database in there]
    # What was checked has nobody's sessions but those of who looks at it.
    names = [each.restored for each in swaps]
    names += [each.database for each in replaced] if end_sessions else []
    try:
        with _Ending(target, names), connection.transaction():
            for each in replaced:
                _renamed(connection, each, now)
                trace(f"renamed:{each.database}")
            for each in swaps:
                text = sides.description(connection, each.former) if each in replaced else None
                before = _before(text)
                _rename(connection, each.restored, each.database)
                sides.comment(connection, each.database, before)
                trace(f"named:{each.database}")
    except errors.ObjectInUse as error:
        text = " ".join(str(error).split())[:200]
        raise RestoreError(
            f"it was not swapped in, as somebody is connected ({text}): nothing was changed; end the "
            "sessions yourself, or say end_sessions"
        ) from error
    return {each.database: each.former for each in replaced}


def _renamed(connection: Connection, each: Swap, now: datetime) -> None:
    known = sides.description(connection, each.database)
    _rename(connection, each.database, each.former)
    side = msgspec.structs.replace(each.side, state="former", at=now, description=known)
    sides.mark(connection, each.former, side)


def _before(text: str | None) -> str | None:
    """Return the comment that the database in use had, out of that of the former one."""
    return sides.side_of(text).description if text else None


def _rename(connection: Connection, old: str, new: str) -> None:
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(statement.format(sql.Identifier(old), sql.Identifier(new)))


class _Ending:
    """Ends sessions of some databases, again and again, until the swap is done."""

    def __init__(self, target: Target, names: Sequence[str]) -> None:
        self._target, self._names = target, list(names)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ending sessions", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._target.connected(purpose="restore, ending sessions") as connection:
                while not self._done.is_set():
                    connection.execute(_END, (self._names,))
                    self._done.wait(_EVERY_S)
        except (CourtkeeperError, psycopg.Error):
            return  # then the rename says that somebody is connected
