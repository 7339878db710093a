"""A bare Postgres with the platform's roles and schema in it, and fresh databases by copying that."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from courtkeeper.platform import database, processes
from courtkeeper.platform.ports import free_port
from courtkeeper.platform.postgres import ADMIN, Postgres, place_home, reachable_bin_dir, wheel_bin_dir

TEMPLATE = "nba_template"
# Tests kill programs, not the machine: what the kernel has is safe without waiting for the disk.
# Autovacuum is on, as on any server, and comes to no table between two lines of a test.
_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum_naptime": "86400s",
}


@dataclass
class Server:
    """A running server. `dsn` is the application's, `admin_dsn` the owner's, `api_dsn` the API's.

    All three name the database `nba`, which has the schema and is empty. `postgres` is the adapter
    (its `start()`, `stop(identity)` and `running()` let a test take the server away and bring it back).
    """

    host: str
    port: int
    dsn: str = field(repr=False)
    admin_dsn: str = field(repr=False)
    api_dsn: str = field(repr=False)
    password: str = field(repr=False)
    admin_password: str = field(repr=False)
    api_password: str = field(repr=False)
    postgres: Postgres = field(repr=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, repr=False)

    def admin_dsn_for(self, dsn: str) -> str:
        """Return the owner's connection string to the database that `dsn` names."""
        name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
        return database.Address(self.host, self.port).dsn(ADMIN, self.admin_password, name)


@contextmanager
def postgres_server(
    tmp_dir: Path, settings: Mapping[str, str] | None = None, bin_dir: Path | None = None
) -> Iterator[Server]:
    """Start a server that keeps its files under `tmp_dir`, and leave no process behind.

    As root Postgres runs as `nobody`, who cannot enter pytest's directories: then the files are elsewhere
    and are removed at the end. `settings` are Postgres settings over the defaults; the programs are the
    wheel's, or those of `bin_dir`.
    """
    elsewhere = Path(tempfile.mkdtemp(prefix="courtkeeper-test-"))
    elsewhere.chmod(0o755)
    try:
        account = processes.unprivileged_account()
        home = place_home(tmp_dir / "postgres", lambda: elsewhere / "postgres", account)
        postgres = Postgres(
            home=home,
            log=tmp_dir / "postgres.log",
            port=free_port(),
            bin_dir=reachable_bin_dir(bin_dir or wheel_bin_dir(), home, account),
            account=account,
            settings={**_FAST, **(settings or {})},
        )
        passwords = database.Passwords(*(secrets.token_urlsafe(24) for _ in range(3)))
        postgres.initialise(passwords.admin)
        try:
            start(postgres)
            yield _prepare(postgres, passwords)
        finally:
            if identity := postgres.running():
                assert postgres.stop(identity), "Postgres outlived its test"
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


def fresh_database(server: Server) -> str:
    """Make a new database with the platform's schema, empty; return the application's connection string."""
    # File by file: half the processor time of the default, which writes each page into the log.
    statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"
    name = f"test_{os.getpid()}_{next(server._numbers)}"
    with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(TEMPLATE)))
        database.set_database_grants(connection, name)
    return database.Address(server.host, server.port).dsn(database.APPLICATION, server.password, name)


def drop_database(server: Server, dsn: str) -> None:
    """Remove a database that `fresh_database` made, whoever is connected to it."""
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(server.admin_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def start(postgres: Postgres) -> None:
    """Start a server and wait until it answers."""
    identity = postgres.start()
    deadline = time.monotonic() + postgres.start_timeout_s
    dsn = database.Address("127.0.0.1", postgres.port).dsn(ADMIN, "", "postgres")
    while "password" not in database.answers(dsn):  # it asks for one: it is there
        assert processes.is_alive(identity), processes.last_line(postgres.log)
        assert time.monotonic() < deadline, "Postgres does not answer"
        time.sleep(0.02)


def _prepare(postgres: Postgres, passwords: database.Passwords) -> Server:
    address = database.Address("127.0.0.1", postgres.port)
    database.ensure(address, passwords)
    with psycopg.connect(address.dsn(ADMIN, passwords.admin, "postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(TEMPLATE), sql.Identifier(database.DATABASE)
            )
        )
    return Server(
        host=address.host,
        port=address.port,
        dsn=address.dsn(database.APPLICATION, passwords.application),
        admin_dsn=address.dsn(ADMIN, passwords.admin),
        api_dsn=address.dsn(database.API, passwords.api),
        password=passwords.application,
        admin_password=passwords.admin,
        api_password=passwords.api,
        postgres=postgres,
    )
