"""Checkouts with an embedded platform, for tests that start, kill and stop it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import courtkeeper
from courtkeeper.platform import processes, supervisor
from courtkeeper.platform.database import Address
from courtkeeper.platform.state import PostgresState, Secrets, State, read_secrets, read_state

LIBRARY = Path(courtkeeper.__file__).parent.parent
PARTS = ("postgres", "cache", "feed", "api")


class Checkout:
    """A directory that could be a checkout, and the platform in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.var = root / "var" / "platform"
        self.messages: list[str] = []

    def up(self, **options: Any) -> supervisor.Outcome:
        """Bring it up with simulated games; returns the state and what was done."""
        options.setdefault("feed_kind", "simulated")
        return supervisor.bring_up(self.root, progress=self.messages.append, **options)

    def down(self, *, remove_data: bool = False) -> list[str]:
        return supervisor.down(self.root, remove_data=remove_data)

    @property
    def state(self) -> State:
        return read_state(self.root)

    @property
    def secrets(self) -> Secrets:
        return read_secrets(self.root)

    def raw(self, name: str) -> Any:
        """The content of one of its JSON files."""
        return json.loads((self.var / name).read_bytes())

    def pids(self) -> dict[str, int]:
        return {name: part["identity"]["pid"] for name, part in self.raw("processes.json")["parts"].items()}

    def dsn(self, user: str = "courtkeeper") -> str:
        postgres = self.state.postgres
        assert isinstance(postgres, PostgresState)
        passwords = {
            "courtkeeper": self.secrets.database_password,
            "courtkeeper_admin": self.secrets.database_admin_password,
            "platform_api": self.secrets.database_api_password,
        }
        return Address(postgres.host, postgres.port).dsn(user, passwords[user])

    def connect(self, user: str = "courtkeeper") -> psycopg.Connection:
        return psycopg.connect(self.dsn(user), autocommit=True)


@contextmanager
def new_checkout(
    name: str = "checkout", *, mode: int = 0o755, owner: int | None = None
) -> Iterator[Checkout]:
    """Make a checkout, not under pytest's directories (0700), and leave nothing of it behind.

    `mode` is that of the directory above it: 0700 is a home that nobody else can enter.
    """
    above = Path(tempfile.mkdtemp(prefix="ck-"))
    try:
        above.chmod(mode)
        root = above / name
        root.mkdir()
        (root / "ansible.cfg").touch()
        if owner is not None:
            for directory in (above, root):
                os.chown(directory, owner, -1)
        checkout = Checkout(root)
        try:
            yield checkout
        finally:
            if owner is None:
                checkout.down(remove_data=True)
            assert processes_of(root) == []
            assert supervisor._places(root) == []
    finally:
        shutil.rmtree(above)


def cli(
    *arguments: str | Path, prefix: Iterable[str | Path] = (), python: str | Path = sys.executable, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `courtkeeper ...` in a process of its own."""
    return subprocess.run(
        [*prefix, python, "-c", "from courtkeeper.cli import main; main()", *arguments],
        env={**os.environ, "PYTHONPATH": str(LIBRARY), **env},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def client_of(port: int, password: str | None) -> redis.Redis:
    """A client of a cache that tries once: the library's own waits even after a wrong password."""
    return redis.Redis(port=port, password=password, retry=Retry(NoBackoff(), 0))


def processes_of(root: Path) -> list[tuple[int, str]]:
    """Every process that names `root` in its command line or works below it, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            directory = str((entry / "cwd").readlink())
        except OSError:
            continue
        inside = directory == str(root) or directory.startswith(f"{root}/")
        if (inside or str(root) in command) and processes.identify(int(entry.name)):
            found.append((int(entry.name), command))
    return found


def kill(pid: int) -> None:
    """Kill a process of the platform, as the out-of-memory killer would; wait until it is gone."""
    os.kill(pid, 9)
    wait_until(lambda: processes.identify(pid) is None)


def wait_until(condition: Any, timeout_s: float = 120.0) -> None:
    """Poll until `condition()` is true; fail after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
