"""Who runs jobs, whether he still lives, and the locks that he holds.

On one machine the process table says who lives: that is right at once, and no clock can make it wrong. Of
other machines only the lease is known, by the store's own clock. A lock is as good as its owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from courtkeeper.runner import processes
from courtkeeper.store.connection import Database
from courtkeeper.store.identity import Identity
from courtkeeper.store.rows import OwnerRow, row_as
from courtkeeper.store.tables import locks, owners

LEASE = timedelta(seconds=60)


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
            connection.execute(self._database.insert(owners).on_conflict_do_nothing(), row)

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

    def lock(self, system: str, keys: Iterable[str], identity: Identity, holder: str, at: datetime) -> str:
        """Take all of `keys` for a person who has registered; return empty, or which is held and by what."""
        # The driver's own lock keeps a playbook from running twice; slots are a scheduler's to close.
        dead = [each.owner for each in self.dead(identity)]
        with self._database.alone() as connection:
            connection.execute(delete(locks).where(locks.c.owner.in_(dead)))
            return take(connection, rows(system, keys, identity.owner, holder, at))

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


def held(connection: Connection, system: str) -> dict[str, str]:
    """Return the keys that are held, and by what."""
    query = select(locks.c.key, locks.c.holder).where(locks.c.system == system)
    return {row.key: row.holder for row in connection.execute(query)}


def rows(
    system: str, keys: Iterable[str], owner: str, holder: str, at: datetime, slot: int | None = None
) -> list[dict[str, Any]]:
    """Return what `take_rows` wants: one row a key."""
    same = {"system": system, "owner": owner, "holder": holder, "slot": slot, "taken_at": at}
    return [{**same, "key": key} for key in sorted(set(keys))]


def take_rows(connection: Connection, wanted: Sequence[dict[str, Any]]) -> None:
    """Take locks that nobody holds; in `Database.alone()`, where nobody else takes any."""
    if wanted:
        connection.execute(locks.insert(), wanted)


def take(connection: Connection, wanted: Sequence[dict[str, Any]]) -> str:
    """Take all of `rows` or none; return empty, or which is held and by what. In `Database.alone()`."""
    known = held(connection, wanted[0]["system"]) if wanted else {}
    for row in wanted:
        if row["key"] in known:
            return f"{row['key']} is held by {known[row['key']]}"
    take_rows(connection, wanted)
    return ""


def free(connection: Connection, owner: str, slots: Sequence[int]) -> None:
    """Give back what an owner took for these slots."""
    connection.execute(delete(locks).where(locks.c.owner == owner, locks.c.slot.in_(slots)))


def _lives(owner: OwnerRow, me: Identity, now: datetime, alive: dict[int, processes.Process]) -> bool:
    if owner.machine != me.machine:
        return owner.lease_until > now
    process = alive.get(owner.pid)
    return process is not None and owner.owner.split("/")[-2] == str(process.started)
