"""The one HTTP client of the feed: paced, bounded in time, patient with faults, polite to hosts.

What the hosts want and how they misbehave: docs/nba.md ("The feed").
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import httpx
import msgspec

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


class FeedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the feed is and how to treat it. Times in seconds.

    `requests_per_second` is per host (operators report address blocks of 24 to 72 h after
    bursts; 0.6 to 1 s between requests is the common advice). `timeout_s` bounds a whole
    request, since the stats host hangs rather than refuses. A Retry-After above
    `max_retry_after_s` ends the use of that host for this run.
    """

    cdn_url: str = "https://cdn.nba.com"
    stats_url: str = "https://stats.nba.com"
    requests_per_second: float = 1.0
    timeout_s: float = 20.0
    attempts: int = 4
    backoff_s: float = 1.0
    max_retry_after_s: float = 120.0

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

    # This many requests in a row given up on: the host is left alone for the rest of the run.
    _GIVE_UP_AFTER = 3

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
            headers=_HEADERS, timeout=settings.timeout_s, follow_redirects=True, trust_env=True
        )
        self._pace = {host: _Pace(settings.requests_per_second, sleep) for host in ("cdn", "stats")}
        self._given_up: dict[str, FeedError] = {}
        self._failures_in_a_row = dict.fromkeys(("cdn", "stats"), 0)
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
        if host in self._given_up:
            raise self._given_up[host]
        url = str(httpx.URL(self._settings.base(host).rstrip("/") + path, params=query or None))
        problem: _RetryError | None = None
        for attempt in range(self._settings.attempts):
            if problem:
                await self._wait_before_retry(problem, attempt)
            try:
                body = await self._attempt(host, url)
            except _RetryError as failed:
                problem = failed
                if self._pointless(failed, attempt):
                    break
                continue
            self._failures_in_a_row[host] = 0
            return self._keep(payload_key(host, path, query), body)
        raise self._give_up(host, path, problem)

    async def _attempt(self, host: str, url: str) -> bytes:
        await self._pace[host].turn()
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
        if status == httpx.codes.NOT_FOUND:
            self._failures_in_a_row[host] = 0
            raise FeedError(Trouble.NOT_FOUND, host, f"{response.url.path}: not found (404)")
        if status == httpx.codes.TOO_MANY_REQUESTS:
            wait_s = _retry_after_s(response, self._clock())
            raise _RetryError(Trouble.UNAVAILABLE, "too many requests (429)", wait_s)
        html = "text/html" in response.headers.get("content-type", "") or body.lstrip()[:1] == b"<"
        if status == httpx.codes.FORBIDDEN or (html and status < httpx.codes.INTERNAL_SERVER_ERROR):
            page = "an HTML page" if html else "a refusal"
            raise _RetryError(
                Trouble.BLOCKED, f"{page} ({status}) where JSON was due: the host blocks this client"
            )
        if status != httpx.codes.OK:
            raise _RetryError(
                Trouble.UNAVAILABLE, f"answered {status}", _retry_after_s(response, self._clock())
            )
        try:
            msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _RetryError(Trouble.UNAVAILABLE, f"broken JSON: {error}") from error
        return body

    def _pointless(self, problem: _RetryError, attempt: int) -> bool:
        """Tell whether trying again would only do harm."""
        if problem.trouble is Trouble.BLOCKED:
            return attempt >= 1  # once more, in case of a glitch; hammering a block prolongs it
        return problem.wait_s is not None and problem.wait_s > self._settings.max_retry_after_s

    async def _wait_before_retry(self, problem: _RetryError, attempt: int) -> None:
        if problem.wait_s is not None:
            await self._sleep(problem.wait_s)
            return
        # Full backoff with jitter, so that clients that failed together do not return together.
        jitter = random.uniform(0.5, 1.5)  # noqa: S311 - not for secrets
        await self._sleep(self._settings.backoff_s * 2 ** (attempt - 1) * jitter)

    def _give_up(self, host: str, path: str, problem: _RetryError | None) -> FeedError:
        trouble = problem.trouble if problem else Trouble.UNAVAILABLE
        error = FeedError(trouble, host, f"{path}: {problem}")
        self._failures_in_a_row[host] += 1
        too_long = problem is not None and (problem.wait_s or 0) > self._settings.max_retry_after_s
        if too_long or trouble is Trouble.BLOCKED or self._failures_in_a_row[host] >= self._GIVE_UP_AFTER:
            reason = f"{host} host left alone for this run after {path}: {problem}"
            if too_long and problem:
                reason += f"; it asks to wait {problem.wait_s:.0f} s"
            self._given_up[host] = FeedError(trouble, host, reason)
        return error

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
        """Return the newest kept answer; raises FeedError (not found) where there is none."""
        digest = self._store.latest(payload_key(host, path, query))
        if digest is None:
            raise FeedError(Trouble.NOT_FOUND, host, f"{path}: no kept payload")
        return Payload(self._store.get(digest), digest)


Client = FeedClient | ReplayClient


def payload_key(host: str, path: str, query: Mapping[str, str] | None) -> str:
    """Name a request without the base URL, so that a moved feed finds its payloads again."""
    parameters = "&".join(f"{k}={v}" for k, v in sorted((query or {}).items()))
    return f"{host}:{path}?{parameters}" if parameters else f"{host}:{path}"


class _Pace:
    """At most so many requests a second, in the order in which they were asked for."""

    def __init__(self, per_second: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._interval = 1 / per_second if per_second > 0 else 0.0
        self._sleep = sleep
        self._lock = asyncio.Lock()
        self._next = 0.0

    async def turn(self) -> None:
        async with self._lock:
            wait_s = self._next - time.monotonic()
            if wait_s > 0:
                await self._sleep(wait_s)
            self._next = time.monotonic() + self._interval


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
    except (TypeError, ValueError):
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
