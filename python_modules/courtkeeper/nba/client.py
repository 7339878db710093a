"""The one HTTP client of the feed: paced, bounded in time, patient with faults, polite to hosts.

What the hosts want and how they misbehave: docs/nba.md ("The feed").
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Annotated, Final, Self

import httpx
import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.nba.payloads import PayloadStore

_HEADERS: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "application/json, text/plain, */*",
    "Accept-Language": "en-US,en;q=0.9",
    "Origin": "https://www.nba.com",
    "Referer": "https://www.nba.com/",
}
_MAX_PAYLOAD_BYTES: Final = 64 * 1024 * 1024  # a season's schedule is about 4 MB


class Trouble(StrEnum):
    """Why a request gave nothing."""

    NOT_FOUND = "not_found"
    BLOCKED = "blocked"
    UNAVAILABLE = "unavailable"


class FeedError(Exception):
    """A request that gave nothing, after all retries. The message is one sentence."""

    def __init__(self, trouble: Trouble, host: str, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.host = host


_Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the feed is and how to treat it. Times in seconds.

    `requests_per_second` is per host (operators report address blocks of 24 to 72 h after
    bursts; 0.6 to 1 s between requests is the common advice). `timeout_s` bounds a whole
    request, since the stats host hangs rather than refuses. A Retry-After above
    `max_retry_after_s` ends the use of that host for this run.
    """

    cdn_url: str = "https://cdn.nba.com"
    stats_url: str = "https://stats.nba.com"
    requests_per_second: _Positive = 1.0
    timeout_s: _Positive = 20.0
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 4
    backoff_s: _Seconds = 1.0
    max_retry_after_s: _Seconds = 120.0

    def base(self, host: str) -> str:
        """The base URL of `cdn` or `stats`."""
        return self.cdn_url if host == "cdn" else self.stats_url


class Payload(msgspec.Struct, frozen=True):
    """An answer's bytes and their SHA-256 ("" where nothing is kept)."""

    body: bytes
    sha256: str


class _RetryError(Exception):
    def __init__(self, trouble: Trouble, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.trouble = trouble
        self.wait_s = wait_s


class FeedClient:
    """Use as an async context manager. `store` None keeps no payloads (check mode)."""

    def __init__(
        self,
        settings: FeedSettings,
        store: PayloadStore | None,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._sleep = sleep
        self._http = httpx.AsyncClient(
            headers=_HEADERS,
            timeout=settings.timeout_s,
            follow_redirects=True,
            # A feed on this machine is never asked through a proxy.
            mounts={f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")},
        )
        self._hosts = {name: _Host(name, settings, sleep) for name in ("cdn", "stats")}
        self.requests = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, host: str, path: str, query: Mapping[str, str] | None = None) -> Payload:
        """Return the JSON that `host` (`cdn` or `stats`) has at `path`.

        Raises FeedError: not found (404), blocked (an HTML page or 403 where JSON was due), or
        unavailable (every attempt failed). Raises CourtkeeperError where it cannot be kept.
        """
        url = str(httpx.URL(self._settings.base(host).rstrip("/") + path, params=query or None))
        state = self._hosts[host]
        last_attempt = self._settings.attempts - 1
        for attempt in range(self._settings.attempts):
            if attempt:
                await self._back_off(attempt)
            async with state.turn():
                try:
                    body = await self._attempt(host, url)
                except _RetryError as problem:
                    state.failed(path, problem, last=attempt == last_attempt)
                    if attempt == last_attempt:
                        raise FeedError(problem.trouble, host, f"{path}: {problem}") from problem
                else:
                    state.answered()
                    return self._keep(payload_key(host, path, query), body)
        raise AssertionError("settings allow at least one attempt")

    async def versions(self, host: str, path: str) -> AsyncGenerator[Payload, None]:
        """What `path` says: from the live feed there is one version, the present one."""
        yield await self.get(host, path)

    async def _attempt(self, host: str, url: str) -> bytes:
        self.requests += 1
        try:
            async with (
                asyncio.timeout(self._settings.timeout_s),
                self._http.stream("GET", url) as response,
            ):
                body = await _read(response)
        except (TimeoutError, httpx.TimeoutException) as error:
            message = f"no answer within {self._settings.timeout_s:g} s"
            raise _RetryError(Trouble.UNAVAILABLE, message) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = f"{type(error).__name__}: {error}".rstrip(": ")
            raise _RetryError(Trouble.UNAVAILABLE, message) from error
        return self._judge(host, response, body)

    def _judge(self, host: str, response: httpx.Response, body: bytes) -> bytes:
        """Return the body of a good answer; anything else is an error of its kind."""
        status = response.status_code
        markup = body.lstrip()[:5].lower()
        # The cdn's storage answers 403 with an XML error for an object that is not there (yet).
        if status == httpx.codes.NOT_FOUND or (status == httpx.codes.FORBIDDEN and markup == b"<?xml"):
            raise FeedError(Trouble.NOT_FOUND, host, f"{response.url.path}: not found ({status})")
        if status == httpx.codes.TOO_MANY_REQUESTS:
            wait_s = _retry_after_s(response, self._clock())
            raise _RetryError(Trouble.UNAVAILABLE, "too many requests (429)", wait_s)
        html = "text/html" in response.headers.get("content-type", "") or markup[:1] == b"<"
        if status == httpx.codes.FORBIDDEN or (html and status < httpx.codes.INTERNAL_SERVER_ERROR):
            page = "an HTML page" if html else "a refusal"
            message = f"{page} ({status}) where JSON was due: the host blocks this client"
            raise _RetryError(Trouble.BLOCKED, message)
        if status != httpx.codes.OK:
            wait_s = _retry_after_s(response, self._clock())
            raise _RetryError(Trouble.UNAVAILABLE, f"answered {status}", wait_s)
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _RetryError(Trouble.UNAVAILABLE, f"broken JSON: {error}") from error
        return body

    async def _back_off(self, attempt: int) -> None:
        # With jitter, so that clients that failed together do not return together.
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - not for secrets
        await self._sleep(self._settings.backoff_s * 2 ** (attempt - 1) * jitter)

    def _keep(self, key: str, body: bytes) -> Payload:
        sha256 = self._store.put(key, body, now=self._clock()) if self._store else ""
        return Payload(body, sha256)


class ReplayClient:
    """Answers from the payload store alone: parsing redone without the network."""

    def __init__(self, store: PayloadStore) -> None:
        self._store = store
        self.requests = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def get(self, host: str, path: str, query: Mapping[str, str] | None = None) -> Payload:
        """Return the newest kept answer.

        Raises FeedError: not found where there is none, unavailable where it is lost or damaged.
        """
        async for payload in self.versions(host, path, query):
            return payload
        raise FeedError(Trouble.NOT_FOUND, host, f"{path}: no kept payload")

    async def versions(
        self, host: str, path: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Payload, None]:
        """Every kept answer, the newest first: lists change their days, so an older one may be the one."""
        for digest in self._store.versions(payload_key(host, path, query)):
            try:
                yield Payload(self._store.get(digest), digest)
            except CourtkeeperError as error:
                raise FeedError(Trouble.UNAVAILABLE, host, str(error)) from error


Client = FeedClient | ReplayClient


def payload_key(host: str, path: str, query: Mapping[str, str] | None) -> str:
    """Name a request without the base URL, so that a moved feed finds its payloads again."""
    parameters = "&".join(f"{k}={v}" for k, v in sorted((query or {}).items()))
    return f"{host}:{path}?{parameters}" if parameters else f"{host}:{path}"


class _Host:
    """What all that ask one host share: one request at a time, paced, until it is left alone."""

    # This many requests in a row given up on, or this many block pages: no more requests in this run.
    _GIVE_UP_AFTER = 3
    _BLOCKS = 2  # the first may be a glitch; hammering a block prolongs it

    def __init__(self, name: str, settings: FeedSettings, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._name = name
        self._interval_s = 1 / settings.requests_per_second
        self._max_wait_s = settings.max_retry_after_s
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._not_before = 0.0
        self._failures = 0
        self._blocks = 0
        self._given_up: FeedError | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn to ask; raises FeedError where the host is left alone."""
        async with self._lock:
            if self._given_up:
                raise self._given_up
            wait_s = self._not_before - time.monotonic()
            if wait_s > 0:
                await self._sleep(wait_s)
            self._not_before = time.monotonic() + self._interval_s
            try:
                yield
            except FeedError as error:
                if error.trouble is Trouble.NOT_FOUND:  # that is an answer too
                    self.answered()
                raise

    def answered(self) -> None:
        """The host has answered as it should."""
        self._failures = self._blocks = 0

    def failed(self, path: str, problem: _RetryError, *, last: bool) -> None:
        """Note a failed attempt; leave the host alone if asking on would only do harm."""
        self._failures += last
        self._blocks += problem.trouble is Trouble.BLOCKED
        wait_s = problem.wait_s or 0.0
        self._not_before = max(self._not_before, time.monotonic() + min(wait_s, self._max_wait_s))
        too_long = wait_s > self._max_wait_s
        if too_long or self._blocks >= self._BLOCKS or self._failures >= self._GIVE_UP_AFTER:
            asked = f"; it asks to wait {wait_s:.0f} s" if too_long else ""
            self._given_up = FeedError(
                problem.trouble,
                self._name,
                f"{self._name} host left alone for this run after {path}: {problem}{asked}",
            )


async def _read(response: httpx.Response) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > _MAX_PAYLOAD_BYTES:
            raise _RetryError(Trouble.UNAVAILABLE, f"more than {_MAX_PAYLOAD_BYTES >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def _retry_after_s(response: httpx.Response, now: datetime) -> float | None:
    """Seconds to wait by the Retry-After header, in either notation; None without one."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
