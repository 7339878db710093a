"""Whose turn it is: what was not reached last time comes first, the largest first among equals."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import CourtkeeperError
from courtkeeper.postgres.corruption.pieces import Piece

# A reader manages three times as much here (2.25 GiB in 39 s with two): enough to tell whether all fits.
_PAGES_A_SECOND = 1280
_GOLDEN = (math.sqrt(5) - 1) / 2


class _Memory(msgspec.Struct):
    """What the file holds: when (seconds since 1970) each piece last had its turn."""

    version: int = 1
    turns: dict[str, float] = msgspec.field(default_factory=dict)


class Turns:
    """Remembers in a file, where there is a directory for it, when each piece last had its turn.

    A file that cannot be read is as none: all that is lost by it is an order.
    """

    def __init__(self, directory: str, database: DatabaseSettings, now: datetime) -> None:
        self._now = now
        self._path = Path(directory, _file_name(database)) if directory else None
        self._turns: dict[str, float] = {}
        if self._path:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                memory = msgspec.json.decode(self._path.read_bytes(), type=_Memory)
                # A clock that went back must not keep a piece behind all others.
                self._turns = {key: at for key, at in memory.turns.items() if at <= now.timestamp()}

    def order(self, pieces: Iterable[Piece], *, jobs: int, budget_s: float) -> list[Piece]:
        """Return the pieces in the order of their turns."""
        ordered = sorted(pieces, key=lambda piece: (self._turns.get(piece.key, 0.0), -piece.pages, piece.key))
        keys = {piece.key for piece in ordered}
        self._turns = {key: at for key, at in self._turns.items() if key in keys}
        if self._path or sum(piece.pages for piece in ordered) <= _PAGES_A_SECOND * jobs * budget_s:
            return ordered
        return _by_day(ordered, self._now)

    def had(self, piece: Piece) -> None:
        """Take note that `piece` had its turn in this run."""
        self._turns[piece.key] = self._now.timestamp()

    def save(self) -> None:
        """Write the file, whole by rename. Raises CourtkeeperError where that cannot be."""
        if self._path is None:
            return
        part = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            part.write_bytes(msgspec.json.encode(_Memory(turns=self._turns)))
            part.chmod(0o600)
            part.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise CourtkeeperError(
                f"whose turn it is next cannot be written to {self._path} ({error.strerror}): "
                "make room or mend the permissions of state_directory"
            ) from error


def _by_day(pieces: Sequence[Piece], now: datetime) -> list[Piece]:
    """Begin at another place each day; steps of the golden ratio spread evenly over any number of days."""
    named = sorted(pieces, key=lambda piece: piece.key)
    start = math.floor(math.modf(now.toordinal() * _GOLDEN)[0] * len(named))
    return named[start:] + named[:start]


def _file_name(database: DatabaseSettings) -> str:
    digest = hashlib.sha256(f"{database.host}:{database.port}/{database.name}".encode()).hexdigest()
    return f"corruption-{re.sub(r'[^A-Za-z0-9_-]+', '_', database.name)[:40]}-{digest[:8]}.json"
