"""Whose turn it is to be read whole: notes of what was read when, kept beside the vault's lock."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

_MOST_BYTES = 16 << 20


class Turns:
    """When each copy (`destination: prefix`) was last read whole. Without a directory: nothing."""

    def __init__(self, directory: str, vault: str) -> None:
        self._path = Path(directory, f"{vault}.read.json") if directory else None
        self._read: dict[str, datetime] = _loaded(self._path)

    def last(self, destination: str, prefix: str) -> datetime | None:
        """Return when a copy was last read whole and found good."""
        return self._read.get(_key(destination, prefix))

    def note(self, destination: str, prefix: str, now: datetime) -> None:
        """Remember that a copy was read whole."""
        self._read[_key(destination, prefix)] = now

    def save(self, reached: Collection[str], known: Mapping[str, Collection[str]]) -> None:
        """Write the notes; those of copies that are gone from a destination that was reached are dropped.

        A directory that cannot be written to costs the memory, never the verification.
        """
        if self._path is None:
            return
        there = {_key(name, prefix) for name in reached for prefix in known.get(name, ())}
        gone = {key for key in self._read if key.partition(": ")[0] in reached} - there
        kept = {key: when for key, when in self._read.items() if key not in gone}
        part = self._path.with_name(f".{self._path.name}.part")
        with contextlib.suppress(OSError):
            part.write_bytes(msgspec.json.encode(kept))
            os.replace(part, self._path)  # noqa: PTH105 - tests end us at it


def _key(destination: str, prefix: str) -> str:
    return f"{destination}: {prefix}"


def _loaded(path: Path | None) -> dict[str, datetime]:
    if path is None:
        return {}
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, datetime])
    except (OSError, msgspec.MsgspecError, ValueError):
        return {}  # notes that cannot be read are no notes
    return {key: when for key, when in found.items() if when.tzinfo is not None}
