"""Bare Redis and Valkey servers with any configuration, each a process of its own that the test stops."""

from __future__ import annotations

import functools
import os
import re
import secrets
import shlex
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError
from redis.retry import Retry

from courtkeeper.platform import processes
from courtkeeper.platform.ports import HOST, free_port
from courtkeeper.platform.valkey import server_program
from courtkeeper.redis.server import ServerSettings

KINDS = ("valkey", "redis")
# Debian's redis-tools has the server's own binary under the name of a checker; no service comes with it.
_DEBIAN = "redis-check-rdb"
# Nothing is written to the disk unless a test says so.
_QUICK = {"save": '""', "appendonly": "no", "loglevel": "notice", "databases": "16"}
# What a server has to be so that no rule has anything to say about it.
WELL_KEPT = {
    "protected-mode": "yes",
    "maxmemory": "256mb",
    "maxmemory-policy": "allkeys-lru",
    "latency-monitor-threshold": "100",
    "slowlog-log-slower-than": "10000",
    "slowlog-max-len": "128",
    "tcp-keepalive": "300",
    "timeout": "0",
    "appendonly": "yes",
    "appendfsync": "everysec",
}
Lines = Mapping[str, str | Sequence[str]]


def program(kind: str, directory: Path) -> Path:
    """Return the server program of `kind`; skips the test where it is not installed."""
    if kind == "valkey":
        return server_program()
    found = shutil.which("redis-server") or shutil.which(_DEBIAN)
    if found is None:
        pytest.skip("no Redis here: `apt-get install redis-tools`, or `tools/system-packages`")
    link = directory / "redis-server"
    if not link.is_symlink():
        directory.mkdir(parents=True, exist_ok=True)
        link.symlink_to(found)
    return link


@dataclass
class Server:
    """A running server. `home` holds its configuration, data and log; `password` is of the user `default`.

    `stop`, `kill` and `start` let a test take it away and bring it back, data and all.
    """

    kind: str
    port: int
    password: str = field(repr=False)
    home: Path = field(repr=False)
    argv: list[str] = field(repr=False)
    host: str = HOST
    identity: processes.Identity | None = field(default=None, repr=False)

    @property
    def config(self) -> Path:
        """The configuration file; it is not there for a server that was started without one."""
        return self.home / "server.conf"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.home.with_suffix(".log")

    def settings(self, **more: Any) -> ServerSettings:
        """Where the server is, as the library wants it; `more` changes that (`user=…`)."""
        return ServerSettings(**{"host": self.host, "port": self.port, "password": self.password} | more)

    def url(self, user: str = "", password: str | None = None, database: int = 0) -> str:
        """Return its URL, password included."""
        secret = self.password if password is None else password
        return f"redis://{quote(user)}:{quote(secret)}@{self.host}:{self.port}/{database}"

    def client(self, **more: Any) -> redis.Redis:
        """Return a client of the test's own, with text for replies unless told otherwise."""
        told = {"password": self.password or None, "decode_responses": True, "protocol": 2} | more
        return redis.Redis(
            host=self.host, port=self.port, socket_timeout=30, retry=Retry(NoBackoff(), 0), **told
        )

    def do(self, *words: str | int) -> Any:
        """Do one command, as redis-cli would."""
        with self.client() as client:
            return client.execute_command(*words)

    def start(self, *, wait: bool = True) -> None:
        """Start it on the same port; `wait` until it answers (a server that is loading does not count)."""
        self.identity = processes.spawn(self.argv, log=self.log, directory=self.home)
        if wait:
            self.wait()

    def wait(self, seconds: float = 120.0, *, loading: bool = False) -> None:
        """Wait until it answers; with `loading` until it says that it is loading its data."""
        deadline = time.monotonic() + seconds
        while not self._answers(loading):
            assert self.identity
            assert processes.is_alive(self.identity), processes.last_line(self.log)
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it as a service does; nothing happens if it is stopped."""
        if self.identity:
            ended = processes.stop(self.identity, [(signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)])
            assert ended, "the server outlived its test"
            self.identity = None

    def kill(self) -> None:
        """Stop it with no chance to tidy up."""
        if self.identity:
            assert processes.stop(self.identity, [(signal.SIGKILL, 5.0)])
            self.identity = None

    def pause(self) -> None:
        """Let it answer nothing until `resume`."""
        assert self.identity
        os.kill(self.identity.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Take `pause` back."""
        assert self.identity
        os.kill(self.identity.pid, signal.SIGCONT)

    def _answers(self, loading: bool) -> bool:
        try:
            with self.client() as client:
                client.execute_command("PING")
        except BusyLoadingError:
            return loading
        except AuthenticationError:
            return True
        except RedisError as error:
            return "NOAUTH" in str(error) or "NOPERM" in str(error)
        return not loading


@contextmanager
def server(
    directory: Path,
    kind: str = "valkey",
    configuration: Lines | None = None,
    *,
    name: str = "server",
    password: str | None = None,
    config_file: bool = True,
    sentinel: bool = False,
    start: bool = True,
) -> Iterator[Server]:
    """Start a bare server of `kind` under `directory` and leave no process behind.

    `configuration` maps a directive to its value, or to several values for a directive that is repeated
    (`{"maxmemory": "64mb", "user": ["a on …", "b on …"]}`), over what makes a quick server. `password` is
    made up unless given; empty is none. Without `config_file` all is given as arguments, which no CONFIG
    REWRITE can change. `start=False` leaves starting to the test.
    """
    home = directory / name
    home.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(24) if password is None else password
    port = free_port()
    lines: dict[str, str | Sequence[str]] = {} if sentinel else dict(_QUICK)
    lines |= {"port": str(port), "bind": HOST, "dir": str(home)}
    lines |= {"requirepass": secret} if secret else {}
    lines |= dict(configuration or {})
    binary = str(program(kind, directory))
    made = Server(kind=kind, port=port, password=secret, home=home, argv=[binary])
    if config_file:
        made.config.write_text(_text(lines))
        made.argv.append(str(made.config))
    else:
        made.argv += [word for name, value in _pairs(lines) for word in (f"--{name}", *value.split())]
    made.argv += ["--sentinel"] if sentinel else []
    try:
        if start:
            made.start()
        yield made
    finally:
        if made.identity and processes.is_alive(made.identity):
            made.resume()
        made.stop()


@contextmanager
def replica(
    directory: Path, master: Server, configuration: Lines | None = None, *, name: str = "replica"
) -> Iterator[Server]:
    """Start a replica of `master`, of its kind and with its password, and wait until it is in step."""
    lines = {"replicaof": f"{master.host} {master.port}", "repl-diskless-sync-delay": "0"}
    lines |= {"masterauth": master.password} if master.password else {}
    with server(
        directory, master.kind, lines | dict(configuration or {}), name=name, password=master.password
    ) as made:
        wait_for(lambda: made.client().info("replication")["master_link_status"] == "up")
        # The master's own view is later by an acknowledgement.
        wait_for(lambda: (made.port, "online") in _replicas(master))
        yield made


def _replicas(master: Server) -> set[tuple[int, str]]:
    told = master.client().info("replication")
    return {(each["port"], each["state"]) for name, each in told.items() if re.fullmatch(r"slave\d+", name)}


@contextmanager
def cluster(
    directory: Path, kind: str = "valkey", nodes: int = 3, configuration: Lines | None = None
) -> Iterator[list[Server]]:
    """Start a cluster of `nodes` masters with one password, the slots shared out, and wait until it is up."""
    password = secrets.token_urlsafe(24)
    with ExitStack() as stack:
        lines = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", "masterauth": password}
        made: list[Server] = []
        buses: list[int] = []
        for n in range(nodes):
            # Not all at first, as others look for ports, too. The node's port and 10,000 may be somebody's.
            buses.append(free_port())
            told = lines | {"cluster-port": str(buses[n])} | dict(configuration or {})
            node = server(directory, kind, told, name=f"node{n}", password=password)
            made.append(stack.enter_context(node))
        edges = [16384 * n // nodes for n in range(nodes + 1)]
        for node, first, behind in zip(made, edges, edges[1:], strict=False):
            node.do("CLUSTER", "ADDSLOTSRANGE", first, behind - 1)
            node.do("CLUSTER", "MEET", HOST, made[0].port, buses[0])
        for node in made:
            wait_for(functools.partial(_serves, node))
        yield made


def _serves(node: Server) -> bool:
    return "cluster_state:ok" in node.do("CLUSTER", "INFO")


def wait_for(true: Any, seconds: float = 120.0) -> None:
    """Wait until `true()`; fail where that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def _pairs(lines: Lines) -> Iterator[tuple[str, str]]:
    for name, value in lines.items():
        for one in [value] if isinstance(value, str) else value:
            yield name, one


def _text(lines: Lines) -> str:
    return "".join(f"{name} {value}\n" for name, value in _pairs(lines))


def apply(running: Server, fix: str, **blanks: str) -> None:
    """Do the commands of a finding's `fix`, as a person does in redis-cli; `blanks` fill in `<password>`."""
    for name, value in blanks.items():
        fix = fix.replace(f"<{name}>", value)
    commands = [line.strip() for line in fix.partition("--")[0].split(";") if line.strip()]
    assert commands, f"no command in {fix!r}"
    with running.client() as client:
        for command in commands:
            client.execute_command(*shlex.split(command))
