"""Who runs jobs, whether he still lives, and the locks that he holds.

On one machine the process table says who lives: that is right at once, and no clock can make it wrong. Of
other machines only the lease is known, by the store's own clock. A lock is as good as its owner.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from courtkeeper.runner import processes
from courtkeeper.store.connection import Database
from courtkeeper.store.rows import OwnerRow, row_as
from courtkeeper.store.tables import locks, owners

LEASE = timedelta(seconds=60)


@dataclass(frozen=True)
class Identity:
    """One process that may own slots and locks, and where it is."""

    owner: str
    machine: str
    pid: int
    started: int


@cache
def this_machine() -> str:
    """Return a name for all that see the same process table: the host, its boot, its PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        namespace = Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot}/{namespace}"


def identify(machine: str | None = None) -> Identity:
    """Return a new identity for this process."""
    pid = os.getpid()
    started = processes.table()[pid].started
    place = machine or this_machine()
    return Identity(f"{place}/{pid}/{started}/{secrets.token_hex(3)}", place, pid, started)


class LockHeld(Exception):  # noqa: N818 - an answer rather than an error
    """Someone else holds what is wanted; the text says who."""


class Owners:
    """Who runs jobs, and what they hold."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    def register(self, identity: Identity, kind: str, lease: timedelta = LEASE) -> None:
        """Begin to own things. `kind` is scheduler or person."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            row = {
                "owner": identity.owner,
                "machine": identity.machine,
                "pid": identity.pid,
                "kind": kind,
                "started_at": now,
                "lease_until": now + lease,
            }
            connection.execute(owners.insert(), row)

    def renew(self, identity: Identity, lease: timedelta = LEASE) -> bool:
        """Say that we live; False where somebody has already declared us dead."""
        with self._database.write() as connection:
            now = self._database.now(connection)
            mine = (owners.c.owner == identity.owner) & owners.c.ended_at.is_(None)
            return connection.execute(update(owners).where(mine).values(lease_until=now + lease)).rowcount > 0

    def end(self, connection: Connection, owner: str, how: str) -> bool:
        """Declare an owner ended and free its locks; False where another has done so already."""
        living = (owners.c.owner == owner) & owners.c.ended_at.is_(None)
        ending = update(owners).where(living).values(ended_at=self._database.now(connection), ended_how=how)
        if not connection.execute(ending).rowcount:
            return False
        connection.execute(delete(locks).where(locks.c.owner == owner))
        return True

    def leave(self, identity: Identity) -> None:
        """Own nothing any more."""
        with self._database.write() as connection:
            self.end(connection, identity.owner, "ended by itself")

    def living(self) -> list[OwnerRow]:
        """Return those who have not ended, the oldest first; some may have died unnoticed."""
        query = select(owners).where(owners.c.ended_at.is_(None)).order_by(owners.c.started_at)
        with self._database.read() as connection:
            return [row_as(OwnerRow, row) for row in connection.execute(query)]

    def dead(self, me: Identity) -> list[OwnerRow]:
        """Return the owners that have died and were not declared so yet."""
        query = select(owners).where(owners.c.ended_at.is_(None), owners.c.owner != me.owner)
        with self._database.read() as connection:
            found = [row_as(OwnerRow, row) for row in connection.execute(query)]
            if not found:
                return []
            now = self._database.now(connection)
        alive = processes.table() if any(each.machine == me.machine for each in found) else {}
        return [each for each in found if not _lives(each, me, now, alive)]


def take(
    connection: Connection, system: str, keys: Iterable[str], owner: str, holder: str, at: datetime,
    slot: int | None = None,
) -> str:  # fmt: skip
    """Take all of `keys` or none; return empty, or which one is held and by what.

    To be called in `Database.alone()`, where nobody else takes any.
    """
    wanted = sorted(set(keys))
    query = (
        select(locks.c.key, locks.c.holder)
        .where(locks.c.system == system, locks.c.key.in_(wanted))
        .order_by(locks.c.key)
    )
    for key, by in connection.execute(query):
        return f"{key} is held by {by}"
    rows = [
        {"system": system, "key": key, "owner": owner, "holder": holder, "slot": slot, "taken_at": at}
        for key in wanted
    ]
    if rows:
        connection.execute(locks.insert(), rows)
    return ""


def free(connection: Connection, slots: Sequence[int]) -> None:
    """Give back what was taken for these slots."""
    connection.execute(delete(locks).where(locks.c.slot.in_(slots)))


def _lives(owner: OwnerRow, me: Identity, now: datetime, alive: dict[int, processes.Process]) -> bool:
    if owner.machine != me.machine:
        return owner.lease_until > now
    process = alive.get(owner.pid)
    return process is not None and owner.owner.split("/")[-2] == str(process.started)
