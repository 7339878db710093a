"""What a dump does not carry into a database of another name: its grants, settings and connection limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg import sql

from courtkeeper.database import Connection
from courtkeeper.vault.restore.database import has_role
from courtkeeper.vault.restore.feed import RestoreError

_PRIVILEGES = {"CREATE": "CREATE", "CONNECT": "CONNECT", "TEMPORARY": "TEMPORARY"}
# Their values are lists of names (GUC_LIST_QUOTE in Postgres' guc_tables.c).
_LISTS = {
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
}


def apply(connection: Connection, name: str, known: Mapping[str, str]) -> list[str]:
    """Give a database the grants and settings that a manifest notes; return the roles that are missing."""
    missing: set[str] = set()
    if known.get("grants"):
        _grant(connection, name, _decoded(known["grants"]), missing)
    for role, entries in _decoded(known.get("settings", "")):
        for entry in entries or []:
            key, _, value = str(entry).partition("=")
            _set(connection, name, str(role), key, value, missing)
    limit = known.get("connection_limit", "")
    if limit and int(limit) >= 0:
        statement = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(int(limit))))
    return sorted(missing)


def _decoded(text: str) -> list[Any]:
    try:
        found = msgspec.json.decode(text) if text else []
    except msgspec.MsgspecError:
        found = None
    if not isinstance(found, list):
        raise RestoreError("the manifest notes grants or settings of a database that cannot be read")
    return found


def _grant(connection: Connection, name: str, grants: list[Any], missing: set[str]) -> None:
    database = sql.Identifier(name)
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for grantee, privilege, grantable in grants:
        word = _PRIVILEGES.get(str(privilege))
        if word is None:
            continue
        if grantee and not has_role(connection, str(grantee)):
            missing.add(str(grantee))
            continue
        connection.execute(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(word),
                database,
                sql.Identifier(str(grantee)) if grantee else sql.SQL("PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grantable else ""),
            )
        )


def _set(connection: Connection, name: str, role: str, key: str, value: str, missing: set[str]) -> None:
    if role and not has_role(connection, role):
        missing.add(role)
        return
    of = (
        sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), sql.Identifier(name))
        if role
        else sql.SQL("DATABASE {}").format(sql.Identifier(name))
    )
    words = [word.strip().strip('"') for word in value.split(",")] if key in _LISTS else [value]
    told = sql.SQL(", ").join(sql.Literal(word) for word in words)
    parameter = sql.SQL(".").join(sql.Identifier(part) for part in key.split("."))
    connection.execute(sql.SQL("ALTER {} SET {} TO {}").format(of, parameter, told))
