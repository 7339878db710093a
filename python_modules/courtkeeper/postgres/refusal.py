"""What may be said of an error of the server: what was refused, never a value out of somebody's row."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

from courtkeeper.database import Connection

_QUOTED = re.compile(r'".*')


def words(error: BaseException) -> str:
    """Return the first line of what was refused, without a full stop.

    The server's DETAIL and CONTEXT are left out, as they hold whole rows ("Failing row contains …"), and of
    an error over a value (SQLSTATE 22) what it quotes: that is the value.
    """
    text = (error.diag.message_primary if isinstance(error, psycopg.Error) else None) or str(error)
    line = text.splitlines()[0].strip().rstrip(".") if text.strip() else type(error).__name__
    return _QUOTED.sub('"…"', line) if isinstance(error, psycopg.DataError) else line


def is_lost(error: psycopg.Error, *connections: Connection) -> bool:
    """Whether a connection is gone; else the server has refused one statement, and can be asked again."""
    return error.sqlstate is None or any(connection.closed for connection in connections)


def why_lost(error: psycopg.Error) -> str:
    """Return what is known of a connection's end, on one line and not too long."""
    return " ".join(str(error).split())[:160]


def is_read_only(error: BaseException) -> bool:
    """Whether the session may not write at all (default_transaction_read_only)."""
    return isinstance(error, errors.ReadOnlySqlTransaction)
