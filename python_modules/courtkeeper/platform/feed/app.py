"""The Starlette application: the header rules of the real hosts, faults, a log, and control.

Control, on loopback as everything here: `GET /__feed/health`, `GET|DELETE /__feed/log`,
`POST /__feed/faults` (a new list), `POST /__feed/correct` (`{"game_id": ...}` or `{}`: publish late
corrections), `POST /__feed/now` (`{"now": ISO or null}`: set or free the clock).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from courtkeeper.findings import ConfigurationError
from courtkeeper.platform.feed.addresses import CDN_ROOT, STATS_ROOT, Address, BadAddressError, parse
from courtkeeper.platform.feed.config import NO_MOMENT, FeedConfig, frozen_now, in_utc
from courtkeeper.platform.feed.corrections import Change
from courtkeeper.platform.feed.faults import BLOCK_PAGE, MAX_HANG_S, Fault, FaultBoard, check_faults
from courtkeeper.platform.feed.recorded import RecordedSource
from courtkeeper.platform.feed.simulated import SimulatedSource

LOG_LENGTH = 5000
_LOGGED_HEADERS = ("user-agent", "referer", "accept", "accept-encoding", "accept-language", "origin", "host")
_POLL_S = 0.25


class Source(Protocol):
    """Where payloads come from."""

    def payload(self, address: Address, now: datetime, changes: Mapping[str, Change]) -> bytes | None:
        """Return the body for `address` at `now` (UTC) with published `changes`; None: unknown."""
        ...


def source_of(config: FeedConfig) -> Source:
    """Return the source that a checked configuration names."""
    if config.kind == "recorded":
        return RecordedSource(Path(config.recorded_dir or ""))
    if config.first_night is None:
        raise ConfigurationError("first_night is missing: a simulated feed needs the day of its first games.")
    return SimulatedSource(config.seed, config.first_night, config.games_per_night)


class Feed:
    """One running feed: its source, its faults, its clock and its log."""

    def __init__(self, config: FeedConfig, source: Source) -> None:
        self.kind = config.kind
        self._source = source
        self._faults = FaultBoard(config.faults)
        self._frozen = frozen_now(config)
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)

    def now(self) -> datetime:
        """Return the feed's time in UTC: the injected one if there is one."""
        return self._frozen or datetime.now(UTC)

    async def serve(self, request: Request) -> Response:
        """Answer a request to either of the real hosts."""
        entry = _log_entry(request)
        self._log.append(entry)
        response = await self._answer(request, entry)
        entry["status"] = response.status_code
        return response

    async def _answer(self, request: Request, entry: dict[str, Any]) -> Response:
        refusal = await _refuse_by_headers(request)
        if refusal is not None:
            entry["fault"] = "headers"
            return refusal
        url = entry["path"] + ("?" + entry["query"] if entry["query"] else "")
        bad: BadAddressError | None = None
        address: Address | None = None
        try:
            address = parse(request.url.path, request.query_params)
        except BadAddressError as error:
            bad = error
        struck = self._faults.answer(address, url)
        if struck is not None:
            entry["fault"], answer = struck
            return await _unless_gone(request, answer)
        if address is None:
            return PlainTextResponse(f"{bad}\n", status_code=bad.status if bad else 404)
        return await self._payload(address, url, entry)

    async def _payload(self, address: Address, url: str, entry: dict[str, Any]) -> Response:
        if address.empty:
            return Response(b"{}", media_type="application/json")
        body = await run_in_threadpool(self._source.payload, address, self.now(), self._faults.changes())
        if body is None:
            return PlainTextResponse("Not found\n", status_code=404)
        self._faults.served(address)
        kinds, body = self._faults.alter(address, url, body)
        kind, response = self._faults.deliver(address, url, body)
        entry["fault"] = ",".join([*kinds, kind] if kind else kinds)
        return response

    # Control

    async def health(self, _: Request) -> Response:
        """Say what is served and by which process."""
        return JSONResponse({"kind": self.kind, "pid": os.getpid()})

    async def log(self, request: Request) -> Response:
        """Return the last requests, oldest first; DELETE forgets them."""
        if request.method == "DELETE":
            self._log.clear()
        return JSONResponse({"requests": list(self._log)})

    async def set_faults(self, request: Request) -> Response:
        """Replace the faults in force; a bad list changes nothing and answers 400 with one sentence."""
        try:
            faults = msgspec.json.decode(await request.body(), type=list[Fault])
        except (ValueError, RecursionError) as error:
            return JSONResponse({"error": f"faults: {error}."}, status_code=400)
        problem = check_faults(faults)
        if problem:
            return JSONResponse({"error": problem}, status_code=400)
        self._faults.replace(faults)
        return JSONResponse({"faults": len(faults)})

    async def correct(self, request: Request) -> Response:
        """Publish late corrections."""
        wanted = _object(await request.body())
        return JSONResponse({"corrected": self._faults.correct(str(wanted.get("game_id", "")))})

    async def set_now(self, request: Request) -> Response:
        """Freeze the clock at an ISO time with an offset, or free it with null."""
        text = _object(await request.body()).get("now")
        moment = _moment(text)
        if text is not None and moment is None:
            return JSONResponse({"error": NO_MOMENT}, status_code=400)
        self._frozen = moment
        return JSONResponse({"now": self.now().isoformat()})


def _moment(text: object) -> datetime | None:
    """Return an ISO time in UTC; None for anything else."""
    try:
        return in_utc(datetime.fromisoformat(str(text)))
    except ValueError:
        return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        decoded = msgspec.json.decode(body or b"{}")
    except (ValueError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _log_entry(request: Request) -> dict[str, Any]:
    return {
        "time": time.time(),
        "path": request.url.path,
        "query": request.url.query,
        "headers": {name: request.headers[name] for name in _LOGGED_HEADERS if name in request.headers},
        "status": None,
        "fault": "",
    }


async def _refuse_by_headers(request: Request) -> Response | None:
    """Return what the real hosts do to a client they dislike; None for a welcome one."""
    path = request.url.path
    referred = request.headers.get("referer", "").startswith("https://www.nba.com/")
    if path.startswith(CDN_ROOT) and not referred:
        return HTMLResponse(BLOCK_PAGE, status_code=403)
    browser = "Mozilla/5.0" in request.headers.get("user-agent", "")
    if path.startswith(STATS_ROOT) and not (referred and browser):
        return await _unless_gone(request, _silence())
    return None


async def _silence() -> Response:
    await asyncio.sleep(MAX_HANG_S)
    return PlainTextResponse("Gateway Timeout\n", status_code=504)


async def _unless_gone(request: Request, answer: Any) -> Response:  # noqa: ANN401 (an awaitable of Response)
    """Wait for `answer`, but no longer than the client does: a hang must not outlive its client."""
    task = asyncio.ensure_future(answer)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_POLL_S)
            if not task.done() and await request.is_disconnected():
                return Response(status_code=499)
        response: Response = task.result()
        return response
    finally:
        task.cancel()


def create_app(config: FeedConfig, source: Source | None = None) -> Starlette:
    """Return the application for a checked configuration."""
    feed = Feed(config, source or source_of(config))
    control: list[tuple[str, Callable[[Request], Any], list[str]]] = [
        ("/__feed/health", feed.health, ["GET"]),
        ("/__feed/log", feed.log, ["GET", "DELETE"]),
        ("/__feed/faults", feed.set_faults, ["POST"]),
        ("/__feed/correct", feed.correct, ["POST"]),
        ("/__feed/now", feed.set_now, ["POST"]),
    ]
    routes = [Route(path, endpoint, methods=methods) for path, endpoint, methods in control]
    routes.append(Route("/{path:path}", feed.serve, methods=["GET"]))
    return Starlette(routes=routes)
