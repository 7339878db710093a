"""A checkout of its own with an embedded platform in it, for tests of the whole chain."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from courtkeeper import platform
from courtkeeper.platform.state import State
from support.feed import ROOT, Feed

PARTS = ("ansible.cfg", "playbooks", "roles", "inventory", "collections")


@dataclass
class Checkout:
    """A copy of what a job needs. `cli` runs the command line as its user does."""

    root: Path
    state: State | None = None

    def cli(
        self, *arguments: str, timeout: float = 180, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `courtkeeper …` in this checkout, with `variables` in its environment."""
        return subprocess.run(
            [Path(sys.executable).with_name("courtkeeper"), *arguments],
            cwd=self.root,
            env={**environment(), **variables},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def refresh(self, *arguments: str) -> tuple[int, dict[str, Any], str]:
        """`run nba_refresh --json`: exit code, record, standard error."""
        done = self.cli("run", "nba_refresh", "-i", "inventory/embedded", "--json", *arguments)
        return done.returncode, json.loads(done.stdout), done.stderr

    def refusals(self, job: str, cases: Sequence[Mapping[str, Any]], *arguments: str) -> list[str]:
        """Run `job` once on as many hosts as there are cases, each with its variables; what each is told.

        Every host is the embedded one, and every one has to be refused.
        """
        spoiled = self.root / "inventory" / "spoiled"
        shutil.copytree(self.root / "inventory" / "embedded", spoiled)
        hosts = {f"case{number}": dict(variables) for number, variables in enumerate(cases)}
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {key: {"hosts": dict.fromkeys(hosts)} for key in ("databases", "caches", "backups")}
        platform_group = {"hosts": {name: {**local, **told} for name, told in hosts.items()}}
        content = {"all": {"children": {"platform": platform_group, **groups}}}
        (spoiled / "hosts.yml").write_text(json.dumps(content))
        try:
            # One after the other: they are one server, and some jobs lock what they look at.
            done = self.cli("run", job, "-i", "inventory/spoiled", "--json", *arguments, ANSIBLE_FORKS="1")
        finally:
            shutil.rmtree(spoiled)
        record = json.loads(done.stdout)
        assert (done.returncode, record["status"], record["changed"]) == (2, "refused", False), record
        told = {task["host"]: task["message"] for task in record["tasks"] if task["status"] == "failed"}
        assert told.keys() == hosts.keys(), record["tasks"]
        assert not [sentence for sentence in told.values() if "\n" in sentence or "Traceback" in sentence]
        return [told[name] for name in hosts]

    def dsn(self, user: str = "admin") -> str:
        """A connection string to the platform's database, as `admin` or `application`."""
        state, secrets = platform.read_state(self.root), platform.read_secrets(self.root)
        name, password = (
            (state.postgres.admin_user, secrets.database_admin_password)
            if user == "admin"
            else (state.postgres.user, secrets.database_password)
        )
        return psycopg.conninfo.make_conninfo(
            host=state.postgres.host,
            port=state.postgres.port,
            dbname=state.postgres.database,
            user=name,
            password=password,
        )

    @property
    def feed(self) -> Feed:
        """The platform's feed server."""
        state = platform.read_state(self.root).feed
        return Feed(state.url, state.pid)


def environment() -> dict[str, str]:
    """The environment of a user's shell: nothing of ours but where the library is."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "COURTKEEPER_"))}
    return {**kept, "PYTHONPATH": str(ROOT / "python_modules")}


@contextmanager
def checkout(directory: Path, **up: Any) -> Iterator[Checkout]:
    """Copy what a job needs into `directory`, and bring a platform up in it if `up` says how."""
    directory.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, directory / part, symlinks=True)
        else:
            shutil.copy(source, directory / part)
    here = Checkout(directory)
    try:
        if up:
            here.state = platform.up(directory, **up)
        yield here
    finally:
        platform.down(directory, remove_data=True)
