"""Whether a restored database fits beside the one in use: a server whose disk is full stops for everybody."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import psycopg

from courtkeeper.database import Connection
from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.findings import sized
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.restore import database
from courtkeeper.vault.restore.server import Target

_LOCAL = {"", "localhost", "127.0.0.1", "::1"}
# Beside the database itself: its write-ahead log until the next checkpoint, and what others write meanwhile.
_MORE = 1.1
_SPARE_BYTES = 64 << 20
_SETTINGS = """
SELECT current_setting('data_directory'), pg_size_bytes(current_setting('max_wal_size'))
"""


def require(connection: Connection, target: Target, manifest: Manifest, parts: Sequence[Part]) -> None:
    """Raise ConfigurationError where it does not fit."""
    if sentence := lacking(connection, target, manifest, parts):
        raise ConfigurationError(f"{sentence}: nothing was done")


def lacking(connection: Connection, target: Target, manifest: Manifest, parts: Sequence[Part]) -> str:
    """Say why it does not fit; empty where it does, or where its disk cannot be looked at from here."""
    if target.host not in _LOCAL and not target.host.startswith("/"):
        return ""
    try:
        row = connection.execute(_SETTINGS).fetchone()
        free = shutil.disk_usage(os.path.join(str((row or ("",))[0]), "base")).free  # noqa: PTH118
    except (psycopg.errors.InsufficientPrivilege, OSError):
        return ""
    size = sum(_size(manifest, part) for part in parts)
    log = min(int(row[1]) if row else 0, size)
    needed = round(size * _MORE) + log + _SPARE_BYTES
    if needed <= free:
        return ""
    return (
        f"the disk of {target.where} has {sized(free)} free, and restoring beside what is in use needs about "
        f"{sized(needed)}: make room, or restore elsewhere"
    )


def _size(manifest: Manifest, part: Part) -> int:
    known = database.facts(manifest, part.database).get("size", "")
    return max(int(known) if known.isdigit() else 0, part.plain_size)
