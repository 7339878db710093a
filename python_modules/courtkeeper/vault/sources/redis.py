"""A Redis or Valkey server, over the wire: we ask as a replica does (`SYNC`) and keep the RDB it sends.

Nothing is written to the server's disk where it can send without (`capa eof`: Redis 2.8.18, Valkey), nothing
of its configuration is changed, and its files need not be in reach. It forks once, as for a new replica.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.pipe import CHUNK, Chunk, Write
from courtkeeper.vault.settings import RedisSource
from courtkeeper.vault.sources.base import Facts, SourceError, Step

_MARK_BYTES = 40
_CONNECT_S = 10.0
_LINE_MOST = 64 << 10
_SETTINGS = ("databases", "maxmemory", "maxmemory-policy", "appendonly", "save", "aclfile")
_KEYS = re.compile(r"db(\d+):keys=(\d+)")
# The RDB format: opcode EOF, then eight bytes of CRC-64.
_RDB_END, _RDB_TAIL = 0xFF, 9


class RedisServer:
    """The source."""

    def __init__(self, settings: RedisSource) -> None:
        self._settings = settings

    @contextmanager
    def open(self) -> Iterator[_Session]:
        """See what the server is."""
        with _Wire(self._settings) as wire:
            facts, size, keys = _looked(wire, self._settings)
        yield _Session(self._settings, facts, size, keys)

    def plan(self) -> list[str]:
        """Say what would be copied."""
        with _Wire(self._settings) as wire:
            facts, _, keys = _looked(wire, self._settings)
        where = self._settings.socket or f"{self._settings.host}:{self._settings.port}"
        return [
            f"copy {sum(keys.values())} keys of {facts.server['kind']} {facts.server['version']} ({where})"
        ]


class _Session:
    """One backup of the server."""

    def __init__(self, settings: RedisSource, facts: Facts, size: int, keys: dict[str, int]) -> None:
        self.facts = facts
        self._settings, self._size, self._keys = settings, size, keys

    def steps(self) -> Iterator[Step]:
        """Yield the one RDB."""
        yield Step("dump.rdb.zst.age", "redis_rdb", self._size, self._produce, lambda: {"keys": self._keys})

    def _produce(self, write: Write) -> None:
        checked = _Rdb(write)
        with _Wire(self._settings) as wire:
            wire.snapshot(checked.write)
        checked.end()


class _Rdb:
    """Passes an RDB on, and sees that it begins and ends as one does."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._head, self._tail = b"", b""

    def write(self, data: Chunk) -> None:
        chunk = bytes(data)
        if len(self._head) < _RDB_TAIL:
            self._head = (self._head + chunk)[:_RDB_TAIL]
        self._tail = (self._tail + chunk[-_RDB_TAIL:])[-_RDB_TAIL:]
        self._write(chunk)

    def end(self) -> None:
        known = self._head.startswith((b"REDIS", b"VALKEY"))
        if not known or len(self._tail) < _RDB_TAIL or self._tail[0] != _RDB_END:
            raise SourceError(
                "what the server sent is no whole RDB file: it broke off, or is no Redis", again=True
            )


class _Wire:
    """One connection, in the protocol of Redis."""

    def __init__(self, settings: RedisSource) -> None:
        self._settings = settings
        self._where = settings.socket or f"{settings.host}:{settings.port}"
        self._pending = b""

    def __enter__(self) -> Self:
        with self._explained():
            self._socket = self._connected()
        if self._settings.password:
            user = [self._settings.user] if self._settings.user else []
            self.ask("AUTH", *user, self._settings.password)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, *words: str) -> Any:  # noqa: ANN401 - a string, or a list of them
        """Send a command and return its reply. Raises ConfigurationError or SourceError if it is refused."""
        self._send(*words)
        return self._reply(words[0])

    def snapshot(self, write: Write) -> None:
        """Ask for everything, and write the RDB that comes."""
        for words in (("capa", "eof"), ("rdb-only", "1")):
            with contextlib.suppress(SourceError):  # older servers do not know it
                self.ask("REPLCONF", *words)
        self._send("SYNC")
        line = b""
        while not line:  # it sends line ends while it forks and saves
            line = self._line()
        if line[:1] == b"-":
            raise self._refused("SYNC", line[1:].decode(errors="replace"))
        if line.startswith(b"$EOF:") and len(line) == _MARK_BYTES + 5:
            self._until(line[5:], write)
        elif line[:1] == b"$" and line[1:].isdigit():
            self._exactly(int(line[1:]), write)
        else:
            raise SourceError(f"the server {self._where} does not answer SYNC as a Redis does")

    def _until(self, mark: bytes, write: Write) -> None:
        kept = self._pending
        self._pending = b""
        while not kept.endswith(mark):
            if len(kept) > _MARK_BYTES:
                write(kept[:-_MARK_BYTES])
                kept = kept[-_MARK_BYTES:]
            kept += self._received()
        write(kept[:-_MARK_BYTES])

    def _exactly(self, size: int, write: Write) -> None:
        while size:
            chunk = self._pending or self._received()
            self._pending = b""
            write(chunk[:size])
            size -= min(size, len(chunk))

    def _send(self, *words: str) -> None:
        encoded = [word.encode() for word in words]
        text = b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
        with self._explained():
            self._socket.sendall(text)

    def _reply(self, command: str) -> Any:  # noqa: ANN401
        line = self._line()
        kind, rest = line[:1], line[1:].decode(errors="replace")
        if kind == b"-":
            raise self._refused(command, rest)
        if kind in (b"+", b":"):
            return rest
        if kind == b"$":
            return self._text(int(rest)) if int(rest) >= 0 else ""
        if kind == b"*":
            return [self._reply(command) for _ in range(max(int(rest), 0))]
        raise SourceError(f"the server {self._where} does not speak as a Redis does: mend its address")

    def _text(self, size: int) -> str:
        while len(self._pending) < size + 2:
            self._pending += self._received()
        text, self._pending = self._pending[:size], self._pending[size + 2 :]
        return text.decode(errors="replace")

    def _line(self) -> bytes:
        while b"\n" not in self._pending:
            if len(self._pending) > _LINE_MOST:
                raise SourceError(
                    f"the server {self._where} does not speak as a Redis does: mend its address"
                )
            self._pending += self._received()
        line, _, self._pending = self._pending.partition(b"\n")
        return line.rstrip(b"\r")

    def _received(self) -> bytes:
        with self._explained():
            chunk = self._socket.recv(CHUNK)
        if not chunk:
            raise SourceError(
                f"the server {self._where} closed the connection before it was done", again=True
            )
        return chunk

    def _connected(self) -> socket.socket:
        settings = self._settings
        if settings.socket:
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(settings.timeout_s)
            plain.connect(settings.socket)
            return plain
        patience = min(settings.timeout_s, _CONNECT_S)
        made = socket.create_connection((settings.host, settings.port), patience)
        if settings.tls:
            context = ssl.create_default_context(cafile=settings.ca_file or None)
            try:
                made = context.wrap_socket(made, server_hostname=settings.host)
            except TimeoutError as error:
                made.close()
                raise SourceError(
                    f"the server {self._where} does not answer in TLS: leave tls out, or mend its port"
                ) from error
        made.settimeout(settings.timeout_s)
        return made

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"the server {self._where} does not speak TLS as we do ({error.reason}): give its CA, or "
                "leave tls out"
            ) from error
        except TimeoutError as error:
            raise SourceError(
                f"the server {self._where} said nothing for {self._settings.timeout_s:g} s", again=True
            ) from error
        except OSError as error:
            raise SourceError(
                f"the server {self._where} cannot be reached ({error.strerror or error}): "
                "start it or mend its address"
            ) from error

    def _refused(self, command: str, text: str) -> ConfigurationError | SourceError:
        said = " ".join(text.split())[:160]
        if text.startswith(("NOAUTH", "WRONGPASS")) or command == "AUTH":
            return ConfigurationError(
                f"the server {self._where} refuses the password: set the right one ({said})"
            )
        if text.startswith("NOPERM"):
            return ConfigurationError(
                f"the user may not {command} on {self._where}: grant +sync +replconf +info +config|get (ACL)"
            )
        again = text.startswith(("LOADING", "NOMASTERLINK", "BUSY", "MASTERDOWN"))
        return SourceError(f"the server {self._where} refuses {command}: {said}", again=again)


def _looked(wire: _Wire, settings: RedisSource) -> tuple[Facts, int, dict[str, int]]:
    """Return what the server says of itself, about how large its data are, and its keys by database."""
    info = str(wire.ask("INFO"))
    known = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
    kind = "valkey" if "valkey_version" in known else "redis"
    version = known.get(f"{kind}_version", "")
    if not version:
        raise SourceError(f"the server at {settings.host}:{settings.port} does not say which Redis it is")
    facts = Facts(server={"kind": kind, "version": version, "role": known.get("role", "")})
    facts.server["where"] = settings.socket or f"{settings.host}:{settings.port}"
    for name in _SETTINGS:
        with contextlib.suppress(SourceError, ConfigurationError):  # not everybody may ask
            pair = wire.ask("CONFIG", "GET", name)
            if len(pair) == 2:
                facts.recovery_settings[name] = str(pair[1])
    if known.get("cluster_enabled") == "1":
        facts.notes.append("the server is one node of a cluster: this is its share of the keys")
    if known.get("master_link_status") == "down":
        facts.notes.append("the server was a replica without its master: its data may be old")
    return facts, int(known.get("used_memory", "0")), {db: int(keys) for db, keys in _KEYS.findall(info)}
