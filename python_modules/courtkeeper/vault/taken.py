"""What this host itself wrote into a vault: the SHA-256 of each manifest, noted before it is stored.

By these notes a manifest that somebody replaced is refused, also where nothing is signed, and it is known
which of two that differ is ours. Who restores on another host has no notes, and needs signatures for that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from courtkeeper.vault.settings import VaultSettings

# Hourly backups of five sources, for two months; daily ones for years.
_KEPT = 8000
_MOST_BYTES = 4 << 20


def known(settings: VaultSettings) -> dict[str, str]:
    """Return the SHA-256 of each manifest file that this host wrote, by the backup's prefix.

    Notes that cannot be read are no notes.
    """
    path = _path(settings)
    if path is None:
        return {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        return msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def note(settings: VaultSettings, prefix: str, file: bytes) -> None:
    """Remember a manifest that is about to be stored.

    A directory that cannot be written to costs the note, never the backup.
    """
    path = _path(settings)
    if path is None:
        return
    notes = {**known(settings), prefix: digest(file)}
    newest = sorted(notes, key=_id, reverse=True)[:_KEPT]
    part = path.with_name(f".{path.name}.part")
    with contextlib.suppress(OSError):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode({key: notes[key] for key in newest}))
            stream.flush()
            os.fsync(descriptor)
        os.replace(part, path)  # noqa: PTH105 - tests end us at it


def is_ours(notes: Mapping[str, str], prefix: str, file: bytes) -> bool:
    """Tell whether this host wrote exactly this manifest."""
    return notes.get(prefix) == digest(file)


def digest(file: bytes) -> str:
    """Return what is noted of a manifest."""
    return hashlib.sha256(file).hexdigest()


def _id(prefix: str) -> str:
    return prefix.rstrip("/").rpartition("/")[2]


def _path(settings: VaultSettings) -> Path | None:
    if not settings.state_directory:
        return None
    return Path(settings.state_directory, f"{settings.name}.taken.json")
