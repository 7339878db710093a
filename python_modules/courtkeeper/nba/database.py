"""The platform's database: its statements, and the check that its schema is the one we know."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

from courtkeeper import database
from courtkeeper.database import Connection, DatabaseSettings
from courtkeeper.findings import ConfigurationError

# The oldest schema of the platform that this code can write to.
REQUIRED_SCHEMA: Final = "0001"
_LOCK_TIMEOUT_S = 10
_STATEMENT_TIMEOUT_S = 120
_SQL_DIRECTORY = files("courtkeeper.nba") / "sql"


@cache
def sql(name: str) -> bytes:
    """Return the statement in `sql/<name>.sql`."""
    return (_SQL_DIRECTORY / f"{name}.sql").read_bytes()


def connect(settings: DatabaseSettings) -> Connection:
    """Open a connection whose statements are bounded in time, and check the schema.

    Raises ConfigurationError where the settings or the schema are wrong, CourtkeeperError
    where the server cannot be reached.
    """
    connection = database.connect(
        settings,
        purpose="nba_refresh",
        lock_timeout_s=_LOCK_TIMEOUT_S,
        statement_timeout_s=_STATEMENT_TIMEOUT_S,
    )
    try:
        _check_schema(connection, settings)
    except BaseException:
        connection.close()
        raise
    return connection


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
