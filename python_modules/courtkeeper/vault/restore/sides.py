"""Databases beside those in use: how they are called, what they are for, and which a killed run left.

What a database is for stands in its comment, on the server itself, where whoever looks sees it: `restoring`
(nobody needs it once its run is gone), `checked` (whole, kept because it was asked for) and `former` (what
was in use before, kept until told).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from datetime import datetime
from typing import Literal

import msgspec
import psycopg
from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target

State = Literal["restoring", "checked", "former"]

_MARK = "courtkeeper restore: "
_NAME_BYTES = 63
# A server that ran out of disk restarts, and replays its log first.
_RECOVERS_S = 30.0
_STAMP = re.compile(r"_(restored|former)_\d{8}t\d{6}_[0-9a-f]{4}\Z")
_COMMENTS = """
SELECT d.datname, shobj_description(d.oid, 'pg_database'), pg_database_size(d.oid)
  FROM pg_database d WHERE NOT datistemplate ORDER BY 1
"""
# An advisory lock of the whole server, taken in its maintenance database: two restores at once never mix.
_LOCK = 0x636F7572745F7273


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What a database of ours is: `of` which database, from which backup, in which state, since when."""

    of: str
    state: State
    vault: str
    backup: str
    at: datetime
    description: str | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A database that lies beside one in use."""

    name: str
    side: Side
    size: int


def name_for(database: str, kind: Literal["restored", "former"], now: datetime) -> str:
    """Return a name that no other database has, and that fits."""
    ending = f"_{kind}_{now:%Y%m%dt%H%M%S}_{secrets.token_hex(2)}"
    room = _NAME_BYTES - len(ending)
    encoded = database.encode()
    if len(encoded) <= room:
        return database + ending
    short = encoded[: room - 9].decode(errors="ignore")
    return f"{short}_{hashlib.sha256(encoded).hexdigest()[:8]}{ending}"


def mark(connection: Connection, name: str, side: Side) -> None:
    """Note on a database what it is for."""
    comment(connection, name, _MARK + msgspec.json.encode(side).decode())


def mark_table(connection: Connection, schema: str, name: str, side: Side) -> None:
    """Note on a table what it is for."""
    text = _MARK + msgspec.json.encode(side).decode()
    statement = sql.SQL("COMMENT ON TABLE {} IS {}")
    connection.execute(statement.format(sql.Identifier(schema, name), sql.Literal(text)))


def kept_tables(connection: Connection) -> list[tuple[str, str, Side, int]]:
    """Return the former tables of the database that `connection` is in: schema, name, what it is, bytes."""
    rows = connection.execute(
        "SELECT n.nspname, c.relname, obj_description(c.oid, 'pg_class'), pg_total_relation_size(c.oid) "
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND starts_with(obj_description(c.oid, 'pg_class'), %s) ORDER BY 1, 2",
        (_MARK,),
    )
    return [(str(schema), str(name), side_of(text), int(size)) for schema, name, text, size in rows]


def comment(connection: Connection, name: str, text: str | None) -> None:
    """Put a comment on a database, or take it away."""
    statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
    connection.execute(statement.format(sql.Identifier(name), sql.Literal(text)))


def beside(backup: Backup, database: str, now: datetime) -> Side:
    """Return what a database is that is being restored."""
    return Side(of=database, state="restoring", vault=backup.vault, backup=backup.id, at=now)


def kept(connection: Connection) -> list[Kept]:
    """Return every database of the server that lies beside one in use."""
    found = []
    for name, text, size in connection.execute(_COMMENTS):
        if text and text.startswith(_MARK):
            try:
                side = msgspec.json.decode(text.removeprefix(_MARK), type=Side)
            except msgspec.MsgspecError:
                continue  # a person wrote it
            found.append(Kept(name=str(name), side=side, size=int(size)))
    return found


def side_of(text: str) -> Side:
    """Return what a comment of ours says. Raises RestoreError for another."""
    try:
        return msgspec.json.decode(text.removeprefix(_MARK), type=Side)
    except msgspec.MsgspecError:
        raise RestoreError("the comment of a database that was just renamed is not ours any more") from None


def description(connection: Connection, name: str) -> str | None:
    """Return a database's comment."""
    row = connection.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (name,)
    ).fetchone()
    return row[0] if row else None


def leftovers(connection: Connection) -> list[str]:
    """Return what killed restores left: marked `restoring`, or made a moment before it could be marked.

    To be asked by whoever holds the lock: then nobody else is restoring here.
    """
    marked = {each.name: each.side.state for each in kept(connection)}
    found = [name for name, state in marked.items() if state == "restoring"]
    for name, text, _ in connection.execute(_COMMENTS):
        match = _STAMP.search(str(name))
        if match and match[1] == "restored" and text is None:
            found.append(str(name))
    return found


def is_empty(connection: Connection) -> bool:
    """Tell whether nobody has made anything in the database that `connection` is in."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"
    ).fetchone()
    return not (row and row[0])


def drop(connection: Connection, name: str) -> None:
    """Remove a database of ours, whoever is connected to it."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def discard(target: Target, connection: Connection, name: str) -> None:
    """Remove a database of ours after a failure, also where the server itself just fell over that failure.

    Never raises: what cannot be removed now is removed by the next restore, by its mark.
    """
    try:
        drop(connection, name)
    except psycopg.Error:
        deadline = time.monotonic() + _RECOVERS_S
        while time.monotonic() < deadline:
            try:
                with target.connected(purpose="restore") as another:
                    drop(another, name)
                    return
            except (CourtkeeperError, psycopg.Error):
                time.sleep(0.2)


def locked(connection: Connection) -> bool:
    """Take the server's lock of restores for as long as `connection` lives; False if somebody has it."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    return bool(row and row[0])
