"""Making the API's cache forget what changed, exactly when it has changed.

The transaction that changes a game writes a row to `cache_outbox`; after the commit the rows
are worked off and deleted. A crash in between leaves rows for the next run. The keys and the
generation rule are those of docs/design.md ("Cache keys").
"""

from __future__ import annotations

from typing import Any

import msgspec
import redis
from redis import exceptions as errors

from courtkeeper.database import Connection

_BATCH = 500


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the platform's cache is. The password is never part of a message or an argv."""

    host: str
    port: int = 6379
    database: int = 0
    password: str = ""
    timeout_s: float = 5.0

    def __repr__(self) -> str:
        return self.where

    @property
    def where(self) -> str:
        """`127.0.0.1:6379/0`, for messages."""
        return f"{self.host}:{self.port}/{self.database}"


class CacheUnavailableError(Exception):
    """The cache could not be told: a sentence, and in `fix` another. The outbox keeps what is due."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix


def waiting(connection: Connection) -> int:
    """How many invalidations wait in the outbox."""
    row = connection.execute("SELECT count(*) FROM cache_outbox").fetchone()
    connection.commit()
    return int(row[0]) if row else 0


def work_off_outbox(connection: Connection, settings: CacheSettings) -> int:
    """Invalidate what the outbox names and return how many entries were worked off.

    Doing an entry twice is harmless, so a row is deleted only after the cache has answered.
    Raises CacheUnavailableError.
    """
    done = 0
    client = redis.Redis(
        host=settings.host,
        port=settings.port,
        db=settings.database,
        password=settings.password or None,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
    )
    with client:
        while True:
            with connection.transaction():
                rows = connection.execute(
                    "SELECT outbox_id, game_id, game_date::text FROM cache_outbox"
                    " ORDER BY outbox_id LIMIT %s FOR UPDATE SKIP LOCKED",
                    [_BATCH],
                ).fetchall()
                if not rows:
                    return done
                _invalidate(client, rows, settings)
                connection.execute(
                    "DELETE FROM cache_outbox WHERE outbox_id = ANY(%s)", [[r[0] for r in rows]]
                )
            done += len(rows)


def _invalidate(client: redis.Redis, rows: list[tuple[Any, ...]], settings: CacheSettings) -> None:
    pipeline = client.pipeline(transaction=False)
    for generation, keys in {_keys(game_id, day) for _, game_id, day in rows}:
        pipeline.incr(generation[0])
        pipeline.incr(generation[1])
        pipeline.unlink(*keys)
    try:
        pipeline.execute()
    except redis.RedisError as error:
        raise _problem(settings, error) from error


def _problem(settings: CacheSettings, error: redis.RedisError) -> CacheUnavailableError:
    reason = " ".join(str(error).split())[:160]
    for kind, mark, sentence, fix in _REFUSALS:
        if isinstance(error, kind) and mark in reason:
            return CacheUnavailableError(sentence.format(where=settings.where, reason=reason), fix)
    return CacheUnavailableError(f"the cache {settings.where} cannot be reached: {reason}", "Start the cache")


_REFUSALS: tuple[tuple[type[redis.RedisError], str, str, str], ...] = (
    (
        errors.AuthenticationError,
        "",
        "the cache {where} refuses the password",
        "Set the right one in the inventory's secrets",
    ),
    (errors.BusyLoadingError, "", "the cache {where} is still loading its data", "Wait until it is done"),
    (
        errors.ReadOnlyError,
        "",
        "the cache {where} is a replica and takes no writes",
        "Name its master in the inventory",
    ),
    (
        errors.OutOfMemoryError,
        "",
        "the cache {where} has no memory left and may evict nothing",
        "Raise its maxmemory or let it evict volatile keys (maxmemory-policy)",
    ),
    (
        errors.ResponseError,
        "MISCONF",
        "the cache {where} takes no writes, as it could not save its data",
        "Make room on its disk or mend what its log names",
    ),
    (
        errors.NoPermissionError,
        "",
        "the cache {where} does not let its user invalidate ({reason})",
        "Grant it by ACL SETUSER",
    ),
    (errors.ResponseError, "", "the cache {where} refuses a command ({reason})", "Mend what it names"),
)


def _keys(game_id: str, day: str) -> tuple[tuple[str, str], tuple[str, ...]]:
    """The generation counters and the cached pages that a game's change makes stale."""
    game = f"api:game:{game_id}"
    return (
        (f"api:generation:{game_id}", f"api:generation:{day}"),
        (f"{game}:game", f"{game}:events", f"{game}:box", f"api:games:{day}"),
    )
