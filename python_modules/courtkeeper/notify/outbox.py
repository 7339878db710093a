"""What is to be sent: stored with what it tells of, sent after, and kept until it is gone.

A message is stored once (system, channel and key are unique). It is sent at least once: whoever sends it
takes it for a while first; if he dies on the way it is sent again, under the same reference, by which a
receiver may tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, func, or_, select, update

from courtkeeper.notify.model import Event, MessageState
from courtkeeper.store.connection import Database
from courtkeeper.store.notice_tables import outbox
from courtkeeper.store.rows import row_as

LEASE = timedelta(minutes=2)
PATIENCE = timedelta(days=3)
# A dead man's switch that hears of the start of a run hours later is misled.
PING_PATIENCE = timedelta(hours=1)
_LONGEST_WAIT = timedelta(hours=1)
_PINGS = (Event.START, Event.SUCCESS)


@dataclass(frozen=True, kw_only=True)
class Message:
    """Something to say: `key` names what it is about, `event` is an Event."""

    channel: str
    event: Event
    key: str
    title: str
    body: str = ""


class MessageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A message in the outbox; `state` is a MessageState."""

    id: int
    system: str
    channel: str
    key: str
    event: str
    title: str
    body: str
    created_at: datetime
    not_before: datetime
    attempts: int
    state: str
    ended_at: datetime | None
    error: str

    @property
    def reference(self) -> str:
        """The 12 characters by which a message that came twice is known."""
        words = "\0".join((self.system, self.channel, self.key))
        return hashlib.blake2b(words.encode(), digest_size=6).hexdigest()


def put(
    database: Database, connection: Connection, system: str, messages: Sequence[Message], at: datetime
) -> int:
    """Store messages, each once, within the transaction of `connection`; return how many are new."""
    fresh = 0
    for message in messages:
        row = {
            "system": system,
            "channel": message.channel,
            "key": message.key,
            "event": message.event,
            "title": message.title,
            "body": message.body,
            "created_at": at,
            "not_before": at,
            "state": MessageState.WAITING,
        }
        fresh += connection.execute(database.insert(outbox).values(row).on_conflict_do_nothing()).rowcount
    return fresh


class Outbox:
    """The messages of one system."""

    def __init__(self, database: Database, system: str) -> None:
        """Keep them in `database`."""
        self._database = database
        self._system = system

    def take(self, now: datetime, most: int = 20) -> list[MessageRow]:
        """Take messages to send, in the order of their making: ours for LEASE, and then anybody's again."""
        due = (
            (outbox.c.system == self._system)
            & outbox.c.ended_at.is_(None)
            & (outbox.c.not_before <= now)
            & or_(outbox.c.state == MessageState.WAITING, outbox.c.lease_until <= now)
        )
        with self._database.read() as connection:
            if connection.execute(select(outbox.c.id).where(due).limit(1)).first() is None:
                return []
        with self._database.alone() as connection:
            rows = connection.execute(select(outbox).where(due).order_by(outbox.c.id).limit(most)).all()
            mine = outbox.c.id.in_([row.id for row in rows])
            values = {"state": MessageState.SENDING, "lease_until": now + LEASE}
            connection.execute(update(outbox).where(mine).values(values))
        return [row_as(MessageRow, row) for row in rows]

    def sent(self, message: int, now: datetime) -> None:
        """Note that a message has been taken by its receiver."""
        self._end(message, MessageState.SENT, now, "")

    def failed(self, message: MessageRow, now: datetime, why: str) -> datetime | None:
        """Note that a message could not be sent; return when it is tried again, None where it is given up."""
        patience = PING_PATIENCE if message.event in _PINGS else PATIENCE
        wait = min(timedelta(minutes=1 << min(message.attempts, 10)), _LONGEST_WAIT)
        if now + wait > message.created_at + patience:
            self.give_up(message.id, now, why)
            return None
        values = {
            "state": MessageState.WAITING,
            "attempts": message.attempts + 1,
            "not_before": now + wait,
            "error": why[:500],
        }
        with self._database.write() as connection:
            connection.execute(update(outbox).where(outbox.c.id == message.id).values(values))
        return now + wait

    def release(self, message: int) -> None:
        """Leave a message that was taken to whoever comes next."""
        values = {"state": MessageState.WAITING, "lease_until": None}
        with self._database.write() as connection:
            connection.execute(update(outbox).where(outbox.c.id == message).values(values))

    def give_up(self, message: int, now: datetime, why: str) -> None:
        """Send a message no more."""
        self._end(message, MessageState.GIVEN_UP, now, why[:500])

    def _end(self, message: int, state: MessageState, now: datetime, why: str) -> None:
        attempts = outbox.c.attempts + 1
        values = {"state": state, "ended_at": now, "error": why, "attempts": attempts}
        with self._database.write() as connection:
            connection.execute(update(outbox).where(outbox.c.id == message).values(values))

    def latest(self, *, state: MessageState | None = None, limit: int = 50) -> list[MessageRow]:
        """Return messages, the latest first."""
        query = select(outbox).where(outbox.c.system == self._system)
        if state is not None:
            query = query.where(outbox.c.state == state)
        with self._database.read() as connection:
            found = connection.execute(query.order_by(outbox.c.id.desc()).limit(limit))
            return [row_as(MessageRow, row) for row in found]

    def counts(self) -> dict[str, int]:
        """Return how many messages there are by their state."""
        query = (
            select(outbox.c.state, func.count().label("number"))
            .where(outbox.c.system == self._system)
            .group_by(outbox.c.state)
        )
        with self._database.read() as connection:
            return {row.state: row.number for row in connection.execute(query)}
