"""A Postgres server: its globals, and `pg_dump -Fc -Z0` of each database, with every table counted.

Rows and checksums are taken in the very snapshot that the dump reads (`pg_export_snapshot`), while it reads.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import make_conninfo

from courtkeeper.database import Connection, connect
from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.vault import tables
from courtkeeper.vault.manifest import Table
from courtkeeper.vault.pipe import Write
from courtkeeper.vault.settings import PostgresSource
from courtkeeper.vault.sources import programs
from courtkeeper.vault.sources.base import Facts, SourceError, Step

_DAY_S = 86400.0
_DATABASES = """
SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres' ORDER BY 1
"""
# What a restore has to have alike, or at least as large (Postgres manual, "Hot Standby" and "pg_upgrade").
_RECOVERY_SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name IN (
  'server_version', 'server_encoding', 'lc_messages', 'lc_monetary', 'lc_numeric', 'lc_time', 'TimeZone',
  'block_size', 'wal_segment_size', 'data_checksums', 'integer_datetimes', 'shared_preload_libraries',
  'max_connections', 'max_prepared_transactions', 'max_locks_per_transaction', 'max_wal_senders',
  'max_worker_processes', 'wal_level', 'archive_mode', 'password_encryption', 'default_text_search_config')
"""
_OF_DATABASE = """
SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype,
       to_jsonb(d) ->> 'datlocprovider' AS provider, to_jsonb(d) ->> 'datcollversion' AS collation_version,
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
       datconnlimit::text AS connection_limit,
       (SELECT jsonb_agg(jsonb_build_array(CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
                                           a.privilege_type, a.is_grantable) ORDER BY 1)::text
          FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) a) AS grants,
       (SELECT jsonb_agg(jsonb_build_array(CASE s.setrole WHEN 0 THEN '' ELSE pg_get_userbyid(s.setrole) END,
                                           s.setconfig) ORDER BY s.setrole)::text
          FROM pg_db_role_setting s WHERE s.setdatabase = d.oid) AS settings,
       pg_get_userbyid(datdba) AS owner, pg_database_size(oid)::text AS size
  FROM pg_database d WHERE datname = current_database()
"""

_HEARTBEAT = (
    "CREATE SCHEMA IF NOT EXISTS courtkeeper",
    "CREATE TABLE IF NOT EXISTS courtkeeper.heartbeat (name text PRIMARY KEY, beat_at timestamptz NOT NULL)",
    "INSERT INTO courtkeeper.heartbeat VALUES ('backup', clock_timestamp()) "
    "ON CONFLICT (name) DO UPDATE SET beat_at = excluded.beat_at",
)


class PostgresServer:
    """The source."""

    def __init__(self, settings: PostgresSource) -> None:
        self._settings = settings

    @contextmanager
    def open(self) -> Iterator[_Session]:
        """See what the server is, and that our programs are not older than it."""
        yield _Session(self._settings, *self._looked())

    def plan(self) -> list[str]:
        """Say which databases would be dumped."""
        facts, databases = self._looked()
        where = self._settings.at(self._settings.database).where
        said = [f"dump the database {name} of Postgres {facts.server['version']}" for name in databases]
        return [f"dump roles and tablespaces ({where})", *said] if self._settings.globals else said

    def _looked(self) -> tuple[Facts, list[str]]:
        settings, facts = self._settings, Facts()
        pg_dump = programs.found("pg_dump", settings.bin_directory)
        facts.software["pg_dump"] = programs.version_of(pg_dump)
        with _connected(settings, settings.database) as connection:
            facts.server["version"] = str(connection.info.parameter_status("server_version"))
            facts.server["where"] = f"{settings.host or 'localhost'}:{settings.port}"
            facts.recovery_settings = {
                str(name): str(value) for name, value in connection.execute(_RECOVERY_SETTINGS)
            }
            there = [str(name) for (name,) in connection.execute(_DATABASES)]
        _require_new_enough(facts)
        if missing := [name for name in settings.databases if name not in [*there, "postgres"]]:
            raise ConfigurationError(
                f"sources.{settings.name}.databases names {missing[0]!r}, which the server does not have"
            )
        return facts, list(settings.databases) or there


class _Session:
    """One backup of the server."""

    def __init__(self, settings: PostgresSource, facts: Facts, databases: list[str]) -> None:
        self._settings = settings
        self.facts = facts
        self._databases = databases

    def steps(self) -> Iterator[Step]:
        """Yield the globals, then each database."""
        if self._settings.globals:
            yield Step("globals.sql.zst.age", "pg_globals", 0, self._globals)
        for name in self._databases:
            dump = _Dump(self._settings, name, self.facts)
            yield Step(
                f"{quote(name, safe='')}.dump.zst.age",
                "pg_dump",
                dump.expected(),
                dump.produce,
                dump.describe,
            )

    def _globals(self, write: Write) -> None:
        program = programs.found("pg_dumpall", self._settings.bin_directory)
        command = [
            str(program), "--globals-only", "--no-password",
            f"--database={_conninfo(self._settings, self._settings.database)}",
            f"--lock-wait-timeout={round(self._settings.lock_timeout_s * 1000)}",
        ]  # fmt: skip
        if not self._may_read_passwords():
            command.append("--no-role-passwords")
            self._without_passwords()
        programs.stream(command, _environment(self._settings), write)

    def _may_read_passwords(self) -> bool:
        with _connected(self._settings, self._settings.database) as connection:
            row = connection.execute(
                "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
            ).fetchone()
        return bool(row and row[0])

    def _without_passwords(self) -> None:
        sentence = "roles are without their passwords, which only a superuser may read"
        self.facts.notes.append(sentence)
        self.facts.findings.append(
            Finding(
                id="vault.globals.passwords",
                subject=self._settings.name,
                status=Status.WARN,
                summary=f"In the backup of {self._settings.name} {sentence}.",
                fix="back up as a superuser, or keep the roles' passwords elsewhere",
            )
        )


class _Dump:
    """One database: the dump, and the tables as its snapshot sees them."""

    def __init__(self, settings: PostgresSource, database: str, facts: Facts) -> None:
        self._settings, self._database, self._facts = settings, database, facts
        self._tables: list[Table] = []
        self._problem: BaseException | None = None

    def expected(self) -> int:
        """Note what a restore of the database has to know, and return about how large it is."""
        self._beat()
        with _connected(self._settings, self._database) as connection:
            cursor = connection.execute(_OF_DATABASE)
            names = [column.name for column in cursor.description or ()]
            known = dict(zip(names, cursor.fetchone() or (), strict=True))
            size = int(known["size"])
            for key, value in known.items():
                self._facts.recovery_settings[f"database.{self._database}.{key}"] = str(value or "")
            for name, version in connection.execute(
                "SELECT extname, extversion FROM pg_extension ORDER BY 1"
            ):
                self._facts.recovery_settings[f"database.{self._database}.extension.{name}"] = str(version)
        return size

    def _beat(self) -> None:
        """Write the time into the database. A server that cannot be written to has none: a drill says so."""
        if not self._settings.heartbeat:
            return
        try:
            with _connected(self._settings, self._database) as connection:
                for statement in _HEARTBEAT:
                    connection.execute(statement)
        except SourceError as error:
            self._facts.findings.append(
                Finding(
                    id="vault.heartbeat",
                    subject=f"{self._settings.name}/{self._database}",
                    status=Status.WARN,
                    summary=f"No heartbeat could be written: {error}",
                    fix="let the role write to the schema courtkeeper, or say heartbeat: false",
                )
            )

    def produce(self, write: Write) -> None:
        """Dump, and measure the tables meanwhile, in the same snapshot."""
        program = programs.found("pg_dump", self._settings.bin_directory)
        with _connected(self._settings, self._database) as connection, _snapshot(connection) as snapshot:
            measuring = threading.Thread(target=self._measure, args=(connection,), daemon=True)
            if self._settings.checksums:
                measuring.start()
            command = [
                str(program), "--format=custom", "--compress=0", "--no-password", f"--snapshot={snapshot}",
                f"--lock-wait-timeout={round(self._settings.lock_timeout_s * 1000)}",
                f"--dbname={_conninfo(self._settings, self._database)}",
            ]  # fmt: skip
            try:
                programs.stream(command, _environment(self._settings), write)
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    connection.cancel_safe(timeout=5.0)
                raise
            finally:
                if measuring.ident:
                    measuring.join()
        if isinstance(self._problem, psycopg.Error):
            text = " ".join(str(self._problem).split())[:200]
            raise SourceError(f"the tables of {self._database} could not be counted: {text}", again=True)
        if self._problem:
            raise self._problem

    def describe(self) -> dict[str, Any]:
        """Return the part's own facts."""
        return {"database": self._database, "tables": self._tables}

    def _measure(self, connection: Connection) -> None:
        try:
            self._tables = tables.measured(connection)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._problem = error


@contextmanager
def _connected(settings: PostgresSource, database: str) -> Iterator[Connection]:
    connection = connect(
        settings.at(database),
        purpose="backup",
        lock_timeout_s=settings.lock_timeout_s,
        statement_timeout_s=_DAY_S,
    )
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        text = " ".join(str(error).split())[:200]
        raise SourceError(
            f"the database {settings.at(database).where} was lost: {text}", again=True
        ) from error


@contextmanager
def _snapshot(connection: Connection) -> Iterator[str]:
    """Hold a snapshot that others can read, for as long as it takes."""
    connection.rollback()
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    # One process counts beside the one that dumps: more would only take the CPU from it, and from others.
    connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    yield str((row or ("",))[0])
    connection.rollback()


def _environment(settings: PostgresSource) -> dict[str, str]:
    """Return what libpq reads, the password among it: an argument could be read by others."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG") or not settings.host}
    kept["PGAPPNAME"] = "courtkeeper backup"
    kept["LC_ALL"] = "C.UTF-8"
    if settings.password:
        kept["PGPASSWORD"] = settings.password
    return kept


def _conninfo(settings: PostgresSource, database: str) -> str:
    words = {
        **settings.options,
        "host": settings.host,
        "port": str(settings.port or ""),
        "user": settings.user,
        "dbname": database,
    }
    return make_conninfo(**{key: word for key, word in words.items() if word})


def _require_new_enough(facts: Facts) -> None:
    ours, theirs = _major(facts.software["pg_dump"]), _major(facts.server["version"])
    if ours < theirs:
        raise ConfigurationError(
            f"the server is Postgres {theirs} and pg_dump is of {ours}, which cannot dump it: install the "
            f"client programs of {theirs} and name their bin_directory"
        )


def _major(version: str) -> int:
    match = re.match(r"\d+", version)
    return int(match[0]) if match else 0
