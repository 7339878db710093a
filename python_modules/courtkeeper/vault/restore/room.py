"""Whether a restored database fits beside the one in use: a server whose disk is full stops for everybody."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import psycopg

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.vault.findings import sized
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.restore import database
from courtkeeper.vault.restore.server import Target
from courtkeeper.vault.restore.work import Work

_LOCAL = {"", "localhost", "127.0.0.1", "::1"}
# Beside the database itself: its write-ahead log until the next checkpoint, and what others write meanwhile.
_MORE = 1.1
_SPARE_BYTES = 64 << 20
_SETTINGS = """
SELECT current_setting('data_directory'), pg_size_bytes(current_setting('max_wal_size'))
"""


def require(work: Work, connection: Connection, target: Target, parts: Sequence[Part]) -> None:
    """Raise ConfigurationError where it does not fit; say so where that cannot be known."""
    if sentence := lacking(work, connection, target, parts):
        raise ConfigurationError(f"{sentence}: nothing was done")


def lacking(work: Work, connection: Connection, target: Target, parts: Sequence[Part]) -> str:
    """Say why it does not fit; empty where it does.

    Where the server's disk cannot be looked at from here, a finding says how much has to be free.
    """
    manifest = work.backup.manifest
    try:
        free, log = _free(connection, target)
    except _UnseenError as error:
        needed = sized(needs(manifest, parts))
        text = (
            f"Nobody here can see whether {target.where} has room ({error}): about {needed} have to be free."
        )
        work.found("room", target.where, Status.SKIPPED, text, fix="look on the server before it is full")
        return ""
    needed_bytes = needs(manifest, parts, log)
    if needed_bytes <= free:
        return ""
    return (
        f"the disk of {target.where} has {sized(free)} free, and restoring beside what is in use needs about "
        f"{sized(needed_bytes)}: make room, or restore elsewhere"
    )


def needs(manifest: Manifest, parts: Sequence[Part], most_log: int | None = None) -> int:
    """Return about how many bytes databases take, with a write-ahead log of at most `most_log` bytes."""
    size = sum(_size(manifest, part) for part in parts)
    return round(size * _MORE) + (size if most_log is None else min(most_log, size)) + _SPARE_BYTES


class _UnseenError(Exception):
    """The server's disk cannot be looked at from here; the text says why."""


def _free(connection: Connection, target: Target) -> tuple[int, int]:
    """Return how much is free on the server's disk, and how large its write-ahead log may grow."""
    if target.host not in _LOCAL and not target.host.startswith("/"):
        raise _UnseenError("it is another host")
    try:
        row = connection.execute(_SETTINGS).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        raise _UnseenError("the role may not ask where its data lie") from None
    directory, log = row or ("", 0)
    try:
        return shutil.disk_usage(os.path.join(str(directory), "base")).free, int(log)  # noqa: PTH118
    except OSError as error:
        raise _UnseenError(f"its directory: {error.strerror}") from None


def _size(manifest: Manifest, part: Part) -> int:
    known = database.facts(manifest, part.database).get("size", "")
    return max(int(known) if known.isdigit() else 0, part.plain_size)
