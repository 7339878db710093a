"""An empty Postgres, an empty cache and no files: all of it comes back from the vault, and only once.

Packages and services are the role's, which the Molecule scenario `disaster_recovery` tests on hosts.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
import redis

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.platform import database, processes
from courtkeeper.platform.ports import free_port
from courtkeeper.platform.postgres import ADMIN
from courtkeeper.platform.valkey import server_program
from courtkeeper.vault import keys
from courtkeeper.vault.backup import backup
from courtkeeper.vault.recovery import journal, run
from courtkeeper.vault.recovery.host import ROLE, Host
from courtkeeper.vault.recovery.run import Recovery
from courtkeeper.vault.recovery.wish import Wish
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.settings import PostgresSource, VaultSettings
from support import valkey
from support.drills import fill
from support.postgres import Server, postgres_server
from support.vault import Vault, files_source, postgres_source, vault

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="a recovery works as root"),
]
ROLES = "SELECT rolname, rolsuper, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1"


@dataclass
class Empty:
    """A cluster as a package makes it: its system user comes in by the socket, nobody else is known."""

    home: Path
    port: int
    bin_dir: Path
    account: processes.Account

    def ask(self, text: str, name: str = "postgres") -> list[str]:
        """Ask as its superuser."""
        return (
            Host(superuser=self.account.name, psql=str(self.bin_dir / "psql"), sockets=str(self.home)).ask(
                self.port, text, name
            )
            or []
        )


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that will be lost."""
    with postgres_server(tmp_path_factory.mktemp("lived")) as running:
        fill(running.admin_dsn)
        yield running


@pytest.fixture
def empty(lived: Server) -> Iterator[Empty]:
    """The one that was just installed."""
    account = lived.postgres.account
    assert account is not None
    home = Path(tempfile.mkdtemp(prefix="courtkeeper-test-"))
    shutil.chown(home, account.name)
    made = Empty(home, free_port(), lived.postgres.bin_dir, account)
    program = made.bin_dir / "pg_ctl"
    done = processes.run(
        [made.bin_dir / "initdb", "-D", home / "data", "-U", account.name, "-E", "UTF8", "--locale=C",
         "--no-sync", "--auth-local=peer", "--auth-host=scram-sha-256"], account
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = f"-k {home} -p {made.port} -c fsync=off -c listen_addresses=127.0.0.1"
    try:
        started = processes.run(
            [program, "-D", home / "data", "-w", "-l", home / "log", "-o", told, "start"], account
        )
        assert started.returncode == 0, started.stderr
        yield made
    finally:
        processes.run([program, "-D", home / "data", "-m", "immediate", "-w", "stop"], account)
        shutil.rmtree(home)


@dataclass
class Lost:
    """A vault with all backups, and the empty host that its settings name now."""

    vault: Vault
    host: Host
    tree: Path
    cache: valkey.Server

    def recovery(self, identity: str = "identity.txt", **told: Any) -> Recovery:
        """Return a recovery of it."""
        opening = keys.identities(str(self.vault.home / identity))
        return Recovery(self.vault.settings, Wish(**told), opening, host=self.host)


@pytest.fixture
def lost(tmp_path: Path, lived: Server, empty: Empty) -> Iterator[Lost]:
    """Back all of it up, lose it, and have empty servers."""
    tree = tmp_path / "etc" / "app"
    tree.mkdir(parents=True)
    (tree / "a.conf").write_text("a = 1\n")
    bin_dir = lived.postgres.bin_dir
    (tmp_path / "first").mkdir()
    with valkey.valkey_server(tmp_path / "first") as first:
        client(first).set("kept", "yes")
        place = {"host": first.host, "port": first.port, "password": first.password}
        cache = {"name": "cache", "kind": "redis", **place}
        made = vault(tmp_path, [cache, postgres_source(lived.admin_dsn, bin_dir), files_source(tree)])
        backup(made.settings)
    shutil.rmtree(tree)
    (tmp_path / "second").mkdir()
    with valkey.valkey_server(tmp_path / "second") as second:
        made.told["sources"][0] |= {"port": second.port, "password": second.password}
        made.told["sources"][1] |= {"port": empty.port}
        made.told["state_directory"] = str(tmp_path / "new state")
        made.told["policy"] = {"drill": {"server_program": str(server_program())}}
        host = Host(
            superuser=empty.account.name,
            psql=str(bin_dir / "psql"),
            sockets=str(empty.home),
            clusters=str(tmp_path),
        )
        yield Lost(made, host, tree, second)


def test_an_empty_host_is_what_it_was(lost: Lost, lived: Server, empty: Empty) -> None:
    planned = lost.recovery().begin(check_mode=True)
    assert len(planned.actions) == 5
    assert planned.changed
    assert {finding.subject for finding in planned.findings if finding.id == "recovery.lost"} == {
        "cache",
        "config",
        "database",
    }
    keys.new_identity(lost.vault.home / "stranger.txt")
    with pytest.raises(ConfigurationError, match="none of the identities opens"):
        lost.recovery("stranger.txt").begin()
    with pytest.raises(CourtkeeperError, match="begin one first"):
        lost.recovery().data()
    assert journal.read(lost.vault.settings) is None

    lost.recovery(waited_s=2.5).begin()
    # What a package puts there meanwhile has to go, and is not kept.
    lost.tree.mkdir(parents=True)
    (lost.tree / "package.conf").touch()
    lost.recovery().configuration()
    assert [path.name for path in lost.tree.parent.rglob("*")] == ["app", "a.conf"]
    filled = lost.recovery().data()
    assert {finding.status for finding in filled.findings if finding.id == "restore.contents"} == {Status.OK}
    with pytest.raises(CourtkeeperError, match=r"does not answer at .* after 1 s"):
        lost.recovery(answers=("http://127.0.0.1:1/health",), patience_s=1).finish()
    with answering() as url:
        ended = lost.recovery(answers=(url,)).finish()

    assert ended.metrics["rto_s"] >= 2.5
    assert "the platform answers" in ended.msg
    assert [step["name"] for step in ended.details["steps"]][:2] == ["library", "plan"]
    assert {finding.id for finding in ended.findings} == {"recovery.answers", "recovery.rto", "recovery.rpo"}
    assert client(lost.cache).get("kept") == b"yes"
    with psycopg.connect(lived.admin_dsn) as there, psycopg.connect(recovered(lived, empty)) as here:
        roles = [row for row in here.execute(ROLES).fetchall() if row[0] != empty.account.name]
        assert roles == there.execute(ROLES).fetchall()
        owners = here.execute("SELECT DISTINCT extowner::regrole::text FROM pg_extension").fetchall()
        assert ROLE not in str(owners)

    again = lost.recovery().begin()
    assert (again.changed, again.details["needed"]) == (False, False)


def test_one_that_was_broken_off_goes_on(lost: Lost, lived: Server, empty: Empty) -> None:
    lost.recovery().begin()
    lost.recovery().configuration()
    lost.recovery().data()
    known = journal.read(lost.vault.settings)
    assert known is not None
    # As one that was killed after the database had its name and before that was written down.
    known.steps = [step for step in known.steps if step.source == "config"]
    journal.write(lost.vault.settings, known)

    lost.recovery().begin()
    resumed = lost.recovery().data()

    assert any("whole, from an earlier try" in action for action in resumed.actions)
    assert not any("former" in name for name in empty.ask("SELECT datname FROM pg_database"))
    assert client(lost.cache).get("kept") == b"yes"
    # Rows that came in meanwhile are somebody's: what is no longer as it was backed up is not replaced.
    with psycopg.connect(recovered(lived, empty)) as connection:
        connection.execute("INSERT INTO sample SELECT 10 ^ 6")
    journal.write(lost.vault.settings, known)
    lost.recovery().begin()
    with pytest.raises(ConfigurationError, match="the database nba is in use"):
        lost.recovery().data()
    assert empty.ask(f"SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'") == []


def test_why_it_failed_is_said_though_our_role_stays(
    lost: Lost, empty: Empty, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost.recovery().begin()
    lost.recovery().configuration()
    with ExitStack() as stack:

        def full(settings: VaultSettings, *_: Any, **__: Any) -> None:
            """Fail while the server goes, which a session keeps from its end."""
            source = settings.source("database")
            assert isinstance(source, PostgresSource)
            stack.enter_context(Target.of(source).connected())
            stop = [empty.bin_dir / "pg_ctl", "-D", empty.home / "data", "-m", "smart", "-W", "stop"]
            assert processes.run(stop, empty.account).returncode == 0
            with pytest.raises(RestoreError, match=r"lets nobody in at this moment .*is shutting down"):
                until_refused(empty)
            raise RestoreError("No space left on device")

        monkeypatch.setattr(run, "restore", full)
        with pytest.raises(RestoreError, match=f"^No space left on device; the role {ROLE} is still there"):
            lost.recovery().data()


def test_a_host_that_is_in_use_is_refused_unless_named(lost: Lost, empty: Empty) -> None:
    lost.tree.mkdir()
    (lost.tree / "mine").touch()
    with pytest.raises(ConfigurationError, match=f"this host is not empty: {lost.tree} is not empty"):
        lost.recovery().begin()
    client(lost.cache).set("mine", "1")
    with pytest.raises(ConfigurationError, match="cache has 1 keys"):
        lost.recovery(replace=(str(lost.tree),)).begin()
    empty.ask("CREATE DATABASE theirs")
    empty.ask("CREATE TABLE t ()", "theirs")
    with pytest.raises(ConfigurationError, match="the database theirs has 1 tables"):
        lost.recovery(sources=("database",)).begin()
    assert journal.read(lost.vault.settings) is None

    named = {"replace": (str(lost.tree), "cache", "theirs")}
    lost.recovery(**named).begin()
    done = lost.recovery(**named).configuration()
    assert done.changed
    former = next(lost.tree.parent.glob("app.beside-*"))
    assert (former / "mine").exists()  # it was named, and is kept as every restore keeps it


def until_refused(empty: Empty) -> None:
    while True:
        empty.ask("SELECT 1")


def client(server: valkey.Server) -> redis.Redis:
    return redis.Redis(server.host, server.port, password=server.password)


def recovered(lived: Server, empty: Empty) -> str:
    return database.Address("127.0.0.1", empty.port).dsn(ADMIN, lived.admin_password)


class Answer(BaseHTTPRequestHandler):
    """Answers everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def answering() -> Iterator[str]:
    """A platform that answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()
