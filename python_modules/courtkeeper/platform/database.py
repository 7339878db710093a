"""What is inside the platform's Postgres: roles, the database, its extensions and its schema."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.platform import schema
from courtkeeper.platform.postgres import ADMIN

DATABASE = "nba"
APPLICATION = "courtkeeper"
API = "platform_api"
WRONG_PASSWORD = (
    f"The platform's Postgres refuses the password of {ADMIN} in secrets.json: restore that file, "
    "or remove it and run `courtkeeper platform up`, which makes new passwords for the same data."
)
_HERE = Path(__file__).parent


class Passwords(msgspec.Struct, frozen=True):
    """The passwords of the owner, the application and the API."""

    admin: str
    application: str
    api: str

    def __repr__(self) -> str:
        """Say nothing: a traceback or a log may print this."""
        return "Passwords(…)"


class Address(msgspec.Struct, frozen=True):
    """Where a server listens."""

    host: str
    port: int

    def dsn(self, user: str, password: str, database: str = DATABASE, timeout_s: int = 5) -> str:
        """Return a connection string. It holds the password: never log it."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            user=user,
            password=password,
            dbname=database,
            connect_timeout=timeout_s,
            sslmode="disable",  # 127.0.0.1 only, and the server has no certificate
            gssencmode="disable",
        )


def answers(dsn: str) -> str:
    """Return an empty string if the server answers a query, else one sentence with the reason."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1]
    return ""


def ensure(address: Address, passwords: Passwords) -> list[str]:
    """Make roles, database, extensions and schema where they are missing; return what was done.

    Raises ConfigurationError if the owner's password is refused, CourtkeeperError for what Postgres refuses.
    """
    try:
        return (
            _ensure_roles(address, passwords)
            + _ensure_database(address, passwords.admin)
            + _ensure_schema(address.dsn(ADMIN, passwords.admin))
        )
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise ConfigurationError(WRONG_PASSWORD) from None
        raise CourtkeeperError(f"The platform's Postgres does not answer: {error}") from None
    except psycopg.Error as error:
        raise CourtkeeperError(f"The platform's database cannot be set up: {error}") from error


def set_database_grants(connection: psycopg.Connection, database: str) -> None:
    """Give the roles their rights on `database` itself and take those of everybody."""
    text = (_HERE / "database_grants.sql").read_text(encoding="utf-8")
    connection.execute(sql.SQL(text).format(database=sql.Identifier(database)))


def _alone(dsn: str) -> psycopg.Connection:
    """Connect, and wait until no other connection of this kind is left in the same database.

    When an `up` is killed, the server still finishes the statement it was at.
    """
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("SELECT pg_advisory_lock(hashtext('courtkeeper platform'))")
    return connection


def _ensure_roles(address: Address, passwords: Passwords) -> list[str]:
    wanted = {APPLICATION: passwords.application, API: passwords.api}
    done = []
    with _alone(address.dsn(ADMIN, passwords.admin, "postgres")) as connection:
        rows = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(wanted)]
        ).fetchall()
        if len(rows) < len(wanted):
            connection.execute((_HERE / "roles.sql").read_bytes())
        for role, password in wanted.items():
            if (role,) in rows and not _refused(address.dsn(role, password, "postgres")):
                continue
            _set_password(connection, role, password)
            done.append(f"set the password of role {role}")
    return done


def _refused(dsn: str) -> bool:
    return "password authentication failed" in answers(dsn)


def _set_password(connection: psycopg.Connection, role: str, password: str) -> None:
    # A verifier, as `\password` in psql does it: the password itself stays out of the server's
    # log and of pg_stat_statements.
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(
        sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))
    )


def _ensure_database(address: Address, password: str) -> list[str]:
    with _alone(address.dsn(ADMIN, password, "postgres")) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            return []
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ADMIN))
        )
    return [f"created database {DATABASE}"]


def _ensure_schema(dsn: str) -> list[str]:
    if schema.current(dsn) == schema.head():
        return []
    # What a killed `up` left undone after CREATE DATABASE is done here: none of it changes a thing twice.
    with _alone(dsn) as connection:
        set_database_grants(connection, DATABASE)
        connection.execute((_HERE / "extensions.sql").read_bytes())
    return [f"migrated the schema to {revision}" for revision in schema.migrate(dsn)]
