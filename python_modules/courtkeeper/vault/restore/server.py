"""The Postgres server that something is restored into: the source's own, another, or a scratch one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from courtkeeper.database import Connection, DatabaseSettings, connect
from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.settings import PostgresSource
from courtkeeper.vault.sources import programs

_DAY_S = 86400.0
_LOCK_S = 30.0
_DEBIAN = Path("/usr/lib/postgresql")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A server, how to get in as one who may make databases, and where its programs are (empty: PATH)."""

    host: str
    port: int
    user: str
    password: str
    maintenance: str = "postgres"
    options: dict[str, str] = msgspec.field(default_factory=dict)
    bin_directory: str = ""

    @classmethod
    def of(cls, source: PostgresSource, avoid: Sequence[str] = ()) -> Target:
        """Return the server that a source is; we enter it by a database that is not among `avoid`."""
        doors = dict.fromkeys([source.database, "postgres", "template1"])
        return cls(
            host=source.host,
            port=source.port,
            user=source.user,
            password=source.password,
            maintenance=next(name for name in doors if name not in avoid or name == "template1"),
            options=source.options,
            bin_directory=source.bin_directory,
        )

    def at(self, database: str) -> DatabaseSettings:
        """Return how to connect to one of its databases."""
        return DatabaseSettings(
            host=self.host,
            port=self.port,
            name=database,
            user=self.user,
            password=self.password,
            options=self.options,
        )

    def __repr__(self) -> str:
        """Say no password."""
        return f"Target({self.where})"

    @property
    def where(self) -> str:
        """`127.0.0.1:5432`, for people."""
        return f"{self.host or 'localhost'}:{self.port}"

    def conninfo(self, database: str) -> str:
        """Return how a program connects; the password is in its environment."""
        words = {
            **self.options,
            "host": self.host,
            "port": str(self.port or ""),
            "user": self.user,
            "dbname": database,
        }
        return make_conninfo(**{key: word for key, word in words.items() if word})

    def environment(self, purpose: str = "restore") -> dict[str, str]:
        """Return what libpq reads, the password among it: an argument could be read by others."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PG") or not self.host}
        kept |= {"PGAPPNAME": f"courtkeeper {purpose}", "LC_ALL": "C.UTF-8"}
        if self.password:
            kept["PGPASSWORD"] = self.password
        return kept

    def program(self, name: str) -> Path:
        """Return where one of the server's programs is. Raises ConfigurationError."""
        return programs.found(name, self.bin_directory)

    @contextmanager
    def connected(self, database: str = "", *, purpose: str = "restore") -> Iterator[Connection]:
        """Connect, each statement a transaction of its own. What the server refuses is RestoreError."""
        settings = self.at(database or self.maintenance)
        connection = connect(settings, purpose=purpose, lock_timeout_s=_LOCK_S, statement_timeout_s=_DAY_S)
        connection.autocommit = True
        try:
            with connection:
                yield connection
        except psycopg.Error as error:
            raise RestoreError(f"{settings.where}: {' '.join(str(error).split())[:300]}") from error


def major(version: str) -> int:
    """Return 17 of `17.5 (Debian …)`; 0 for what is no version."""
    match = re.match(r"\d+", version)
    return int(match[0]) if match else 0


def server_programs(told: str, version: str) -> str:
    """Return a directory with `initdb` and `postgres` that can read a dump of `version`.

    `told` first, then what Debian has, that version before newer ones, then PATH. Raises ConfigurationError.
    """
    wanted = major(version)
    installed = (path for path in _DEBIAN.glob("*/bin") if path.parent.name.isdigit())
    candidates = [Path(told)] if told else []
    candidates += sorted(
        (path for path in installed if int(path.parent.name) >= wanted),
        key=lambda path: int(path.parent.name),
    )
    for path in candidates:
        if (path / "initdb").is_file() and (path / "postgres").is_file():
            return str(path)
    try:
        return str(programs.found("initdb", "").resolve().parent)
    except ConfigurationError:
        raise ConfigurationError(
            f"there is no Postgres server of version {wanted} or later here (initdb, postgres): install it, "
            "or name its programs in policy.drill.bin_directory"
        ) from None
