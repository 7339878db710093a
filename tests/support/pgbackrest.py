"""Debian's Postgres with pgBackRest around it: a cluster, a repository on disk and one in S3 over TLS."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from courtkeeper.platform.ports import free_port
from courtkeeper.vault.pgbackrest import config
from courtkeeper.vault.pgbackrest.settings import Stanza, stanza_from
from support.s3 import ACCESS_KEY, BUCKET, S3, SECRET_KEY

PASSES = ("a passphrase of repo1, for tests", "a passphrase of repo2, for tests")
_DEBIAN = Path("/usr/lib/postgresql")
_WAIT_S = 120.0
# Never by itself: a test says when a segment ends.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "archive_timeout": "0",
    "autovacuum": "off",
    "max_wal_size": "1GB",
    "log_timezone": "UTC",
}


def missing() -> str:
    """Say what is missing here for these tests; empty where they can run."""
    if shutil.which("pgbackrest") is None:
        return "no pgbackrest here: install it (apt-get install pgbackrest)"
    if not _versions():
        return "no Postgres of Debian's here: install it (apt-get install postgresql)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            return "there is no user postgres, as whom a server runs that root starts"
    return ""


def _versions() -> list[str]:
    found = [path.parent.parent.name for path in _DEBIAN.glob("*/bin/postgres")]
    return sorted(found, key=lambda name: int(name) if name.isdigit() else 0)


@dataclass
class Lab:
    """A running cluster with its stanza. What runs as root runs as its owner, `postgres`."""

    home: Path
    port: int
    version: str
    owner: str
    stanza: Stanza
    repositories: list[config.RepositorySettings] = field(repr=False)

    @property
    def bin(self) -> Path:
        """The server's programs."""
        return _DEBIAN / self.version / "bin"

    @property
    def data(self) -> Path:
        """The server's data directory."""
        return self.home / "data"

    @property
    def repo1(self) -> Path:
        """The repository on disk."""
        return self.home / "repo1"

    def run(self, *command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program as the cluster's owner."""
        who = pwd.getpwnam(self.owner)
        as_who: dict[str, Any] = {}
        if os.geteuid() == 0:
            as_who = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_WAIT_S, check=False, cwd="/", **as_who
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done

    def bare(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run pgBackRest itself, without us."""
        return self.run("pgbackrest", f"--config={self.stanza.config}", "--stanza=main", *words, check=False)

    def sql(self, *statements: str) -> Any:
        """Run statements, each for itself; return the first column of the last one's first row."""
        row = None
        with psycopg.connect(
            host=str(self.home), port=self.port, user=self.owner, dbname="postgres", autocommit=True
        ) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def archived(self) -> str:
        """End the segment that is written now, wait until it is archived, and return its name."""
        name = self.sql("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        self.sql("SELECT pg_logical_emit_message(true, 'test', 'x')", "SELECT pg_switch_wal()")
        self.until(f"SELECT left(last_archived_wal, 24) >= '{name}' FROM pg_stat_archiver")
        return str(name)

    def until(self, question: str) -> None:
        """Wait until a question is answered by true."""
        deadline = datetime.now(UTC).timestamp() + _WAIT_S
        while not self.sql(question):
            assert datetime.now(UTC).timestamp() < deadline, question
            self.sql("SELECT pg_sleep(0.02)")

    def segment(self, name: str) -> Path:
        """Return the file of a segment in the repository on disk."""
        (found,) = (self.repo1 / "archive/main").rglob(f"{name}-*")
        return found

    def start(self) -> None:
        """Start the cluster."""
        self.run(self.bin / "pg_ctl", "-D", self.data, "-l", self.home / "log", "-w", "start")

    def stop(self) -> None:
        """Stop the cluster, if it runs."""
        self.run(self.bin / "pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop", check=False)


@contextmanager
def lab(s3: S3 | None) -> Iterator[Lab]:
    """Make a cluster that archives into both repositories, and leave nothing behind.

    Without a store there is the one on disk alone, and nothing in the cluster that takes time.
    """
    home = Path(tempfile.mkdtemp(prefix="courtkeeper-pgbackrest-"))
    owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    who = pwd.getpwnam(owner)
    os.chown(home, who.pw_uid, who.pw_gid)
    made = Lab(home, free_port(), _versions()[0], owner, Stanza(name="main"), [])
    try:
        if s3:
            shutil.copy(s3.ca_file, home / "s3.pem")
            (home / "s3.pem").chmod(0o644)
        _configured(made, s3)
        small = [] if s3 else ["--wal-segsize=1"]
        made.run(
            made.bin / "initdb", "-D", made.data, "-U", owner, "--auth=trust", "-k", "-N",
            "--no-instructions", *small,
        )  # fmt: skip
        archiving = config.archiving("main", made.stanza.config, 0)
        told = {
            **_SETTINGS,
            **archiving,
            "archive_timeout": "0",
            "port": str(made.port),
            "unix_socket_directories": str(home),
        }
        with (made.data / "postgresql.conf").open("a") as stream:
            stream.write(config.server_text(told))
        made.start()
        if not s3:
            made.sql(
                "UPDATE pg_database SET datistemplate = false",
                "DROP DATABASE template0",
                "DROP DATABASE template1",
            )
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)


def _configured(made: Lab, s3: S3 | None) -> None:
    told: dict[str, Any] = {
        "stanza": "main",
        "data_directory": str(made.data),
        "host": str(made.home),
        "port": made.port,
        "processes": 2,
        "repositories": [
            {"kind": "directory", "path": str(made.repo1), "cipher_pass": PASSES[0]},
        ],
    }
    if s3:
        told["repositories"].append(_bucket(made, s3))
    settings = config.configuration_from(told)
    text = config.text_of(settings, 2).replace("log-level-file=detail", "log-level-file=off")
    own = f"[global]\nlock-path={made.home}/lock\nspool-path={made.home}/spool\n"
    file = made.home / "pgbackrest.conf"
    file.touch(mode=0o640)
    file.write_text(text.replace("[global]\n", own))
    state = made.home / "state"
    for path in (made.repo1, state):
        path.mkdir(mode=0o750)
    who = pwd.getpwnam(made.owner)
    for path in (made.repo1, state, file):
        os.chown(path, who.pw_uid, who.pw_gid)
    made.repositories = list(settings.repositories)
    made.stanza = stanza_from(
        {
            "name": "main",
            "config": str(file),
            "host": str(made.home),
            "port": made.port,
            "owner": made.owner,
            "bin_directory": str(made.bin),
            "state_directory": str(state),
            "scratch_directory": str(made.home),
        }
    )


def _bucket(made: Lab, s3: S3) -> dict[str, Any]:
    return {
        "kind": "s3",
        "path": f"/{made.home.name}",
        "cipher_pass": PASSES[1],
        "bucket": BUCKET,
        "endpoint": "localhost",  # pgBackRest looks for no address in a certificate
        "port": urlsplit(s3.url).port,
        "ca_file": str(made.home / "s3.pem"),
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
    }
