"""Connecting to the platform's database, and saying in one sentence why that failed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import psycopg
from psycopg import errors

from courtkeeper.findings import ConfigurationError, CourtkeeperError

# The oldest schema of the platform that this code can write to.
REQUIRED_SCHEMA: Final = "0001"
_CONNECT_TIMEOUT_S = 10
_LOCK_TIMEOUT_S = 10
_STATEMENT_TIMEOUT_S = 120
_SQL_DIRECTORY = files("courtkeeper.nba") / "sql"

Connection = psycopg.Connection[tuple[Any, ...]]


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the platform's database is. The password is never part of a message or an argv."""

    host: str
    port: int = 5432
    name: str
    user: str
    password: str = ""

    def __repr__(self) -> str:
        return self.where

    @property
    def where(self) -> str:
        """`nba on 127.0.0.1:5432 as courtkeeper`, for messages."""
        return f"{self.name} on {self.host}:{self.port} as {self.user}"


@cache
def sql(name: str) -> bytes:
    """Return the statement in `sql/<name>.sql`."""
    return (_SQL_DIRECTORY / f"{name}.sql").read_bytes()


def connect(settings: DatabaseSettings) -> Connection:
    """Open a connection whose statements are bounded in time, and check the schema.

    Raises ConfigurationError where the settings or the schema are wrong, CourtkeeperError
    where the server cannot be reached.
    """
    try:
        connection = psycopg.connect(
            host=settings.host,
            port=settings.port,
            dbname=settings.name,
            user=settings.user,
            password=settings.password or None,
            application_name="courtkeeper nba_refresh",
            connect_timeout=_CONNECT_TIMEOUT_S,
            options=f"-c lock_timeout={_LOCK_TIMEOUT_S}s -c statement_timeout={_STATEMENT_TIMEOUT_S}s"
            " -c idle_in_transaction_session_timeout=300s -c timezone=UTC",
        )
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise _connection_problem(settings, error) from error
    try:
        _check_schema(connection, settings)
    except BaseException:
        connection.close()
        raise
    return connection


def _connection_problem(settings: DatabaseSettings, error: psycopg.Error) -> CourtkeeperError:
    text = " ".join(str(error).split())
    if "password authentication failed" in text or "no password supplied" in text:
        return ConfigurationError(
            f"the database refuses the password of {settings.user} ({settings.where}): "
            "set the right one in the inventory's secrets"
        )
    if isinstance(error, errors.InvalidCatalogName) or f'database "{settings.name}" does not exist' in text:
        return ConfigurationError(f"there is no database {settings.where}: create it or mend its name")
    return CourtkeeperError(
        f"the database {settings.where} cannot be reached: start it or mend its address ({text[:160]})"
    )


def _check_schema(connection: Connection, settings: DatabaseSettings) -> None:
    with connection.transaction():
        exists = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        row = (
            connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
            if exists and exists[0]
            else None
        )
    version = str(row[0]) if row and row[0] else ""
    if version < REQUIRED_SCHEMA:
        raise ConfigurationError(
            f"the schema of {settings.where} is too old ({version or 'none'}, needed {REQUIRED_SCHEMA}): "
            "migrate it first (`courtkeeper platform up` does, for the embedded platform)"
        )
