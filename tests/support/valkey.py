"""A bare Valkey, as the platform runs it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from courtkeeper.platform import processes
from courtkeeper.platform.ports import HOST, free_port
from courtkeeper.platform.valkey import Valkey


@dataclass
class Server:
    """A running server. `stop` and `start` let a test take it away and bring it back, data and all."""

    host: str
    port: int
    password: str = field(repr=False)
    valkey: Valkey = field(repr=False)
    identity: processes.Identity = field(repr=False)

    def stop(self) -> None:
        """Stop it; nothing happens if it is stopped."""
        assert self.valkey.stop(self.identity), "Valkey outlived its test"

    def start(self) -> None:
        """Start it on the same port and wait until it answers."""
        self.identity = _start(self.valkey)


@contextmanager
def valkey_server(tmp_dir: Path) -> Iterator[Server]:
    """Start a server that keeps its files under `tmp_dir`, and leave no process behind."""
    password = secrets.token_urlsafe(24)
    valkey = Valkey(home=tmp_dir / "valkey", log=tmp_dir / "valkey.log", port=free_port(), password=password)
    server = Server(HOST, valkey.port, password, valkey, _start(valkey))
    try:
        yield server
    finally:
        server.stop()


def _start(valkey: Valkey) -> processes.Identity:
    identity = valkey.start()
    deadline = time.monotonic() + valkey.start_timeout_s
    while reason := valkey.check():
        assert processes.is_alive(identity), processes.last_line(valkey.log)
        assert time.monotonic() < deadline, reason
        time.sleep(0.01)
    return identity
