"""Whether the server's disk has room for what a rebuild needs beside the old."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from courtkeeper.postgres.check import Context
from courtkeeper.postgres.sizes import size
from courtkeeper.postgres.upkeep.sql import statement
from courtkeeper.postgres.upkeep.task import Task

# What has to stay free: for the WAL of the rebuild, and for everybody else's writes meanwhile.
_SPARE = 0.1


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """Free and total bytes where a tablespace is."""

    name: str
    free: int
    total: int

    def problem(self, task: Task, needed: int) -> str | None:
        """Return why there is too little room for `needed` bytes more; None where there is enough."""
        spare = round(_SPARE * self.total)
        if self.free - needed >= spare:
            return None
        return (
            f"To {task.text} needs {size(needed)} of disk for a while; the tablespace {self.name} has "
            f"{size(self.free)} free, of which {size(spare)} have to stay."
        )


def room(context: Context, relation: str) -> Room | None:
    """Return what is free where `relation` is; None where that cannot be asked.

    The server itself cannot tell. Its directory is looked at only where it is on this very machine: where
    it holds the process file of the server that serves this connection.
    """
    with context.connection.transaction():
        row = context.connection.execute(statement("place"), {"relation": relation}).fetchone()
    if row is None or row[1] is None:
        return None
    name, directory, data_directory, started = row
    if not _serves(Path(data_directory), started):
        return None
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return Room(name=name, free=found.f_bavail * found.f_frsize, total=found.f_blocks * found.f_frsize)


def _serves(data_directory: Path, started: int) -> bool:
    """Whether the server of this directory is the one that was started at that second (its third line)."""
    try:
        lines = (data_directory / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        return abs(int(lines[2]) - started) <= 2
    except (OSError, ValueError, IndexError):
        return False
