"""Connecting to the store: SQLite in WAL mode, or Postgres, and one way to write to either."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from courtkeeper.findings import ConfigurationError, CourtkeeperError

ENVIRONMENT = "COURTKEEPER_STORE"
_BUSY_S = 30
_MOST_CONNECTIONS = 100  # a thread of each run may write
_SQLITE = "sqlite+pysqlite"
_POSTGRES = "postgresql+psycopg"
# One at a time decides what begins. Any number that nobody else uses on that database.
_DISPATCH_LOCK = 0x434F5552  # COUR


class Database:
    """An engine and what differs between the two kinds of databases."""

    def __init__(self, url: URL) -> None:
        """Connect to nothing yet."""
        self.url = url
        self.is_sqlite = url.drivername == _SQLITE
        self.engine = _engine(url, is_sqlite=self.is_sqlite)
        self._writer = self.engine.execution_options(courtkeeper_writes=True)

    @property
    def name(self) -> str:
        """What a person calls it; no password."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection that sees one moment. Raises CourtkeeperError when there is none."""
        with self.sentences(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that is committed whole or not at all.

        On SQLite it has the right to write from its beginning, so that none has to be taken back half-way.
        Raises CourtkeeperError where it cannot be committed: a full disk, a lost server.
        """
        with self.sentences(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def alone(self) -> Iterator[Connection]:
        """Yield a connection for writing, for one process at a time: what is read in it stays true."""
        with self.write() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_DISPATCH_LOCK})"))
            yield connection

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that knows ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def now(self, connection: Connection) -> datetime:
        """Return the time by the store's own clock, the one that all its users share."""
        if self.is_sqlite:
            return datetime.now(UTC)
        found: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return found.astimezone(UTC)

    @contextmanager
    def sentences(self) -> Iterator[None]:
        """Turn what the database says into one sentence for a person."""
        try:
            yield
        except DBAPIError as error:
            raise CourtkeeperError(f"The store {self.name} {_complaint(error)}") from error

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _complaint(error: DBAPIError) -> str:
    said = " ".join(str(error.orig).split())
    low = said.lower()
    if "full" in low or "no space" in low or "could not extend" in low:
        return f"has no room left ({said}): make room on its disk."
    if "locked" in low or "busy" in low:
        return f"was in use for {_BUSY_S} s ({said}): end what holds it."
    if "readonly" in low or "unable to open" in low or "permission denied" in low:
        return f"cannot be written ({said}): mend its rights."
    if "malformed" in low or "not a database" in low:
        return f"is damaged ({said}): put it aside; the runs' own files are taken in again."
    return f"failed: {said}."


def locate(root: Path, given: str | None = None) -> URL:
    """Return where the store is: `given`, else $COURTKEEPER_STORE, else a file under `var/`.

    A text with `://` must be postgresql://…; everything else is the path of a SQLite file. A password belongs
    into PGPASSFILE, or into the environment variable, and never on a command line.
    Raises ConfigurationError for anything else.
    """
    wanted = given or os.environ.get(ENVIRONMENT, "")
    if "://" not in wanted:
        path = (root / (wanted or "var/store/courtkeeper.sqlite")).resolve()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CourtkeeperError(
                f"{path.parent} cannot be made ({error.strerror}): make room or mend its rights."
            ) from error
        return URL.create(_SQLITE, database=str(path))
    kind = wanted.partition("://")[0]
    if not re.fullmatch(r"postgres(ql)?(\+psycopg)?", kind):
        raise ConfigurationError(
            f"A store cannot be {kind}://…: give postgresql://… or the path of a file in {ENVIRONMENT}."
        )
    try:
        return make_url(wanted).set(drivername=_POSTGRES)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            f"{ENVIRONMENT} cannot be read as postgresql://user@host:port/database: mend it."
        ) from error


def _engine(url: URL, *, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(
            url,
            pool_pre_ping=True,
            max_overflow=_MOST_CONNECTIONS,
            connect_args={"application_name": "courtkeeper", "connect_timeout": _BUSY_S},
        )
    engine = create_engine(
        url,
        max_overflow=_MOST_CONNECTIONS,
        connect_args={"timeout": _BUSY_S, "check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # A claim must still be one after the power was cut: FULL waits for the disk at each commit.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA journal_size_limit = 67108864")
    cursor.execute("PRAGMA cache_size = -32768")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("courtkeeper_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
