"""Redis in front of the database, and the rule that a slow reader cannot put back what was invalidated.

Who invalidates increments the generation, then unlinks the keys. Who fills WATCHes the generation before it
reads the database and stores in a MULTI, which Redis refuses if the generation was touched in between.

Hits and misses are counted by pattern of key, here in the process and every second in the hash COUNTERS, so
that they outlive the process and are those of all.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple

from redis import asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError, WatchError

from courtkeeper.platform.api.config import Cache as Settings

# A cache that does not answer is left alone for a moment, so that not every request waits for it.
_REST_S = 1.0
# What has been asked of each pattern of keys: fields `hit:<pattern>` and `miss:<pattern>`.
COUNTERS = "api:cache:counters"
_COUNT_EVERY_S = 1.0
# What an unreachable cache raises; timeouts of the event loop included.
UNAVAILABLE = (RedisError, OSError, TimeoutError)


class Outcome(StrEnum):
    """What the cache did for a request. `refused`: invalidated meanwhile, so not stored; `error`: down."""

    HIT = "hit"
    MISS = "miss"
    REFUSED = "refused"
    ERROR = "error"


class Key(NamedTuple):
    """The key of a payload, that of the generation it belongs to, and the pattern it is counted by."""

    payload: str
    generation: str
    pattern: str


def games_key(day: str) -> Key:
    """Return the keys of the games of a day (`YYYY-MM-DD`)."""
    return Key(f"api:games:{day}", f"api:generation:{day}", "api:games:*")


def game_key(game_id: str, what: str) -> Key:
    """Return the keys of `game`, `events` or `box` of a game."""
    return Key(f"api:game:{game_id}:{what}", f"api:generation:{game_id}", f"api:game:*:{what}")


class Cache:
    """Payloads by key, for `ttl_s` seconds at most. Without Redis all is a miss, and never an error."""

    def __init__(
        self, settings: Settings, *, ttl_s: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._rest_until = 0.0
        self._counts: Counter[str] = Counter()
        self._closing = asyncio.Event()
        self.client = redis.Redis(
            host=settings.host,
            port=settings.port,
            db=settings.database,
            password=settings.password,
            socket_connect_timeout=0.5,
            socket_timeout=0.5,
            retry=Retry(NoBackoff(), 0),
            client_name="courtkeeper-api",
        )

    async def fetch(
        self, key: Key, read: Callable[[], Awaitable[bytes | None]]
    ) -> tuple[bytes | None, Outcome]:
        """Return the payload, from the cache or from `read`, and what the cache did.

        What `read` returns is stored unless it is None. What `read` raises goes through.
        """
        body, outcome = await self._fetch(key, read)
        if body is not None and outcome is not Outcome.ERROR:  # what nobody can store is no miss
            self._counts[f"{'hit' if outcome is Outcome.HIT else 'miss'}:{key.pattern}"] += 1
        return body, outcome

    async def _fetch(
        self, key: Key, read: Callable[[], Awaitable[bytes | None]]
    ) -> tuple[bytes | None, Outcome]:
        if self._monotonic() < self._rest_until:
            return await read(), Outcome.ERROR
        async with self.client.pipeline(transaction=True) as pipe:
            try:
                cached = await self.client.get(key.payload)
                if cached is not None:
                    return _as_bytes(cached), Outcome.HIT
                # The connection stays ours, and watching, until the payload is read and stored.
                await pipe.watch(key.generation)
            except UNAVAILABLE:
                self._rest()
                return await read(), Outcome.ERROR
            body = await read()
            if body is None:
                return None, Outcome.MISS
            try:
                pipe.multi()  # type: ignore[no-untyped-call] # the library leaves it so
                pipe.set(key.payload, body, ex=self._ttl_s)
                await pipe.execute()
            except WatchError:
                return body, Outcome.REFUSED
            except UNAVAILABLE:
                self._rest()
                return body, Outcome.ERROR
            return body, Outcome.MISS

    async def ping(self) -> None:
        """Ask the least that proves that it answers. Raises `UNAVAILABLE`."""
        await self.client.ping()

    async def keep_counting(self) -> None:
        """Write the counts every second until `stop_counting`: redis-py may lose a cancellation."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_COUNT_EVERY_S):
                    await self._closing.wait()
            await self.write_counts()

    def stop_counting(self) -> None:
        """Let `keep_counting` return, once it has written the counts."""
        self._closing.set()

    async def write_counts(self) -> None:
        """Add what was counted since to the hash; what a cache that is down does not take is forgotten."""
        counts, self._counts = self._counts, Counter()
        if not counts or self._monotonic() < self._rest_until:
            return
        async with self.client.pipeline(transaction=True) as pipe:
            for field, count in counts.items():
                pipe.hincrby(COUNTERS, field, count)
            try:
                await pipe.execute()
            except ResponseError:
                return  # it answers, but does not take them: it is full, or something else has that name
            except UNAVAILABLE:
                self._rest()

    async def close(self) -> None:
        """Write the counts and close every connection."""
        await self.write_counts()
        await self.client.aclose()

    def _rest(self) -> None:
        self._rest_until = self._monotonic() + _REST_S


def _as_bytes(reply: bytes | str) -> bytes:
    return reply.encode() if isinstance(reply, str) else reply  # always bytes: we decode nothing
