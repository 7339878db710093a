"""Connecting to a Postgres database, and saying in one sentence why that failed.

The one way in for every domain: bounded in time, in UTC, with a name that the server's own views show.
"""

from __future__ import annotations

import re
from typing import Any, Self

import msgspec
import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from courtkeeper.findings import ConfigurationError, CourtkeeperError

_CONNECT_TIMEOUT_S = 10
_WATCH = """
SELECT set_config(s.name, w.value, false)
  FROM (VALUES ('client_connection_check_interval', '1s'), ('idle_session_timeout', '0'),
               ('transaction_timeout', '0')) w (name, value)
  JOIN pg_settings s ON s.name = w.name
"""

_OF_FILES = re.compile(r"could not .*\b(file|directory)\b")
MEND_FILES = "mend owner, mode and mount of the server's data directory"

Connection = psycopg.Connection[tuple[Any, ...]]


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a database is. `host` may be the directory of a Unix socket.

    What is empty (the port: 0) libpq finds by itself: PGHOST, PGPORT, PGPASSWORD, ~/.pgpass, services.

    `options` are further words of libpq (sslmode, sslrootcert, …). No part of a message or an argv
    ever holds the password.
    """

    host: str = ""
    port: int = 5432
    name: str
    user: str = ""
    password: str = ""
    options: dict[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def from_dsn(cls, dsn: str) -> Self:
        """Read a libpq connection string or a URI. Raises ConfigurationError without repeating it."""
        try:
            words = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
            return cls(
                host=words.pop("host", ""),
                port=int(words.pop("port", "0")),
                user=words.pop("user", ""),
                password=words.pop("password", ""),
                name=words.pop("dbname", ""),
                options=words,
            )
        except (psycopg.ProgrammingError, ValueError):
            # libpq's own message quotes the string, which may hold a password.
            raise ConfigurationError(
                "the DSN cannot be read: write it as postgresql://user@host:5432/name or as host=… dbname=…"
            ) from None

    def __repr__(self) -> str:
        return self.where

    @property
    def where(self) -> str:
        """`nba on 127.0.0.1:5432 as courtkeeper`, for messages."""
        user = f" as {self.user}" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.name or 'the default database'} on {self.host or 'the default host'}{port}{user}"


def connect(
    settings: DatabaseSettings,
    *,
    purpose: str,
    lock_timeout_s: float,
    statement_timeout_s: float,
    catalog_only: bool = False,
) -> Connection:
    """Open a connection whose statements are bounded in time; `purpose` is shown in pg_stat_activity.

    With `catalog_only` bare names are looked up in pg_catalog alone: who may create in `public` must not lend
    a superuser functions of his own to call (CVE-2018-1058). `with_usual_names` takes that back for one
    transaction.

    Raises ConfigurationError where the settings are wrong, CourtkeeperError where the server cannot be
    reached.
    """
    words = {
        **settings.options,
        "host": settings.host,
        "port": str(settings.port or ""),
        "dbname": settings.name,
        "user": settings.user,
        "password": settings.password,
        "application_name": f"courtkeeper {purpose}",
        "connect_timeout": str(_CONNECT_TIMEOUT_S),
        "options": f"-c lock_timeout={round(lock_timeout_s * 1000)}"
        f" -c statement_timeout={round(statement_timeout_s * 1000)}"
        " -c idle_in_transaction_session_timeout=300s -c timezone=UTC",
    }
    try:
        # An empty word would hide what libpq finds by itself.
        connection = psycopg.connect(**{key: word for key, word in words.items() if word})  # type: ignore[arg-type] # strings that libpq knows
        _keep_watch(connection)
        if catalog_only:
            connection.execute("SET search_path = pg_catalog, pg_temp")
            connection.commit()
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        raise _connection_problem(settings, error) from error
    return connection


def with_usual_names(connection: Connection) -> None:
    """Look bare names up where the role does, until the transaction ends: for a user's own statements."""
    connection.execute("SET LOCAL search_path TO DEFAULT")


def is_of_files(error: BaseException) -> bool:
    """Whether the server may not use a file of its own.

    It says that with the SQLSTATE of a right that the role lacks (42501), which no grant mends.
    """
    return isinstance(error, errors.InsufficientPrivilege) and bool(_OF_FILES.match(str(error)))


def _keep_watch(connection: Connection) -> None:
    """Have the server end the work of a client that was killed, and never end a session of ours for waiting.

    Versions differ in what they have of that (13: nothing). The server's own limits are for sessions that
    nobody bounds: ours have their statement_timeout, and one may wait for another for a long time.
    """
    try:
        connection.execute(_WATCH)
        connection.commit()
    except (psycopg.DataError, psycopg.NotSupportedError):
        connection.rollback()  # a server on a system that cannot tell whether a client is there


def _connection_problem(settings: DatabaseSettings, error: psycopg.Error) -> CourtkeeperError:
    text = " ".join(str(error).split())
    told = {"where": settings.where, "user": settings.user or "the role", "text": text[:160]}
    for state, marks, raised, sentence in _REFUSALS:
        if (state and error.sqlstate == state) or re.search(marks, text):
            return raised(sentence.format(**told))
    return CourtkeeperError(
        f"the database {settings.where} cannot be reached: start it or mend its address ({text[:160]})"
    )


# SQLSTATE, where it has one meaning here, or the English words. libpq keeps the state of a refused connection
# to itself, so that it is only there for the first statements.
_REFUSALS: tuple[tuple[str, str, type[CourtkeeperError], str], ...] = (
    (
        "28P01",
        "password authentication failed|no password supplied",
        ConfigurationError,
        "the database refuses the password of {user} ({where}): "
        "set the right one in the inventory's secrets, in PGPASSWORD or in ~/.pgpass",
    ),
    (
        "3D000",
        'database ".*" does not exist',
        ConfigurationError,
        "there is no database {where}: create it or mend its name",
    ),
    (
        "",
        'role ".*" does not exist',
        ConfigurationError,
        "the server knows no such role ({where}): create it or mend it",
    ),
    (
        "",
        "permission denied for database",
        ConfigurationError,
        "the role may not connect ({where}): GRANT CONNECT ON DATABASE to it, or name another",
    ),
    (
        "",
        "is not permitted to log in",
        ConfigurationError,
        "the role may not log in ({where}): ALTER ROLE … LOGIN, or name another",
    ),
    (
        "",
        "is not currently accepting connections",
        ConfigurationError,
        "the database lets nobody in ({where}): ALTER DATABASE … ALLOW_CONNECTIONS true, or name another",
    ),
    (
        "",
        "Peer authentication failed|no pg_hba.conf entry|pg_hba.conf rejects",
        ConfigurationError,
        "the server lets nobody in this way ({where}): mend pg_hba.conf, the user or the host",
    ),
    (
        "",
        "too many connections for (role|database)",
        CourtkeeperError,
        "the limit of connections is reached ({where}; {text}): end idle sessions or raise the CONNECTION "
        "LIMIT (ALTER ROLE, ALTER DATABASE), then run again",
    ),
    (
        "53300",
        "too many clients|remaining connection slots",
        CourtkeeperError,
        "the server has no connection left ({where}): end idle sessions or raise its max_connections, then "
        "run again",
    ),
    (
        "",
        "Hot standby mode is disabled",
        ConfigurationError,
        "the server is a replica that lets nobody in ({where}): name its primary, or set hot_standby = on",
    ),
    (
        "",
        "the database system is shutting down",
        CourtkeeperError,
        "the server is shutting down ({where}): start it again when it has stopped, then run again",
    ),
    (
        "57P03",
        "the database system is (starting up|in recovery mode|not yet accepting connections)",
        CourtkeeperError,
        "the server is not ready yet ({where}): run again when it has started",
    ),
    (
        "53100",
        "No space left on device",  # a server that has just started writes before it answers
        CourtkeeperError,
        "the disk of the database {where} is full: free space there and run again",
    ),
    (
        "",
        r"FATAL: could not .*\b(file|directory)\b.*: (Permission denied|Operation not permitted|Read-only)",
        CourtkeeperError,
        f"the server may not use its own files ({{where}}; {{text}}): {MEND_FILES} and run again",
    ),
    (
        "",
        "server does not support SSL",
        ConfigurationError,
        "the server speaks no SSL ({where}), which sslmode asks for: set ssl = on there, or mend sslmode",
    ),
    (
        "",
        "certificate verify failed|root certificate file|server certificate for",
        ConfigurationError,
        "the server's certificate is not trusted ({where}; {text}): give its CA as sslrootcert, and the host "
        "by the name in the certificate",
    ),
    (
        "",
        "Temporary failure in name resolution",
        CourtkeeperError,
        "no name server tells the host's address ({where}): mend the name resolution here and run again",
    ),
    (
        "",
        "failed to resolve host|could not translate host name",
        ConfigurationError,
        "the name of the host cannot be resolved ({where}): mend it",
    ),
    (
        "",
        "invalid .* value: |invalid port number|invalid connection option|invalid integer value",
        ConfigurationError,
        "an option of the connection is not valid ({where}; {text}): mend it",
    ),
)
