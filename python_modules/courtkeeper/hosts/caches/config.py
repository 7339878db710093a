"""Read the few directives of a server's configuration file that its host has to be fit for."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError

# redis.conf of 7.0 and 8.0: what holds where the file says nothing.
BACKLOG, MAXCLIENTS = 511, 10_000
# CONFIG_MIN_RESERVED_FDS (server.h): files that the server needs beside one for each client.
RESERVED_FILES = 32
DEEPEST, MOST_BYTES = 8, 2**20


class ServerConfig(msgspec.Struct, frozen=True):
    """`tcp-backlog` and `maxclients` of a server."""

    backlog: int = BACKLOG
    maxclients: int = MAXCLIENTS

    @property
    def files(self) -> int:
        """How many files the server may have to hold open."""
        return self.maxclients + RESERVED_FILES


def load(path: str, root: Path) -> ServerConfig:
    """Return what the file at `path` below `root` says, with what it includes.

    Raises ConfigurationError where it cannot be read.
    """
    return parse(_text(root, path), include=lambda pattern: _included(root, pattern))


def parse(
    text: str, include: Callable[[str], list[str]] = lambda _pattern: [], depth: int = 0
) -> ServerConfig:
    """Return what the text of a file says; the last word on a directive counts, as for the server.

    `include` returns the texts of the files that an `include` names. A value that is no number is passed
    over: the server refuses it itself.
    """
    values = dict(_directives(text, include, depth))
    return ServerConfig(
        _number(values.get("tcp-backlog"), BACKLOG), _number(values.get("maxclients"), MAXCLIENTS)
    )


def _directives(text: str, include: Callable[[str], list[str]], depth: int) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, *rest = line.split(maxsplit=1)[:2] or [""]
        value = rest[0].strip().strip("\"'") if rest else ""
        if name.lower() == "include" and depth < DEEPEST:
            for included in include(value):
                yield from _directives(included, include, depth + 1)
        yield name.lower(), value


def _number(value: str | None, default: int) -> int:
    """Return a positive number of at most nine digits, else `default`."""
    return int(value) if value and re.fullmatch(r"[0-9]{1,9}", value) and int(value) else default


def _included(root: Path, pattern: str) -> list[str]:
    """Return the texts of the files that `pattern` finds; since 7.0 it may have wildcards."""
    if not pattern.startswith("/"):
        return []  # relative to the server's working directory, which is not the file's
    found = sorted(glob.glob(f"{glob.escape(str(root))}/{pattern.lstrip('/')}"))  # noqa: PTH207
    return [_text(Path("/"), path) for path in found]


def _text(root: Path, path: str) -> str:
    try:
        with (root / path.lstrip("/")).open("rb") as stream:
            return stream.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(
            f"redis_host_servers names {path}, which cannot be read ({error.strerror}): mend config_file, "
            "or say redis_host_become: true"
        ) from None
