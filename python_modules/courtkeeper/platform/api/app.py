"""The Starlette application: routes, errors as sentences, and a number for every request."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date

import msgspec
from psycopg import errors
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from courtkeeper.platform.api import database, health
from courtkeeper.platform.api.cache import Cache, game_key, games_key
from courtkeeper.platform.api.config import ApiConfig
from courtkeeper.platform.api.database import Database
from courtkeeper.platform.api.metrics import Metrics

_GAME_ID = re.compile(r"[0-9]{10}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TEXT = "text/plain; version=0.0.4; charset=utf-8"

Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """The endpoints, over one database and one cache."""

    def __init__(self, config: ApiConfig) -> None:
        self.config = config
        self.database = Database(config.database)
        self.cache = Cache(config.cache, ttl_s=config.cache_ttl_s)
        self.metrics = Metrics(self.database)

    async def games(self, request: Request) -> Response:
        """Answer `/games?date=YYYY-MM-DD`."""
        day = _day(request.query_params.get("date"))
        body, outcome = await self.cache.fetch(games_key(day.isoformat()), lambda: self.database.games(day))
        self.metrics.cached(outcome)
        return _json_text(body or b"")

    def of_game(self, what: str) -> Handler:
        """Return the endpoint of `game`, `events` or `box`."""

        async def answer(request: Request) -> Response:
            game_id = _game_id(request.path_params["game_id"])
            body, outcome = await self.cache.fetch(
                game_key(game_id, what), lambda: self.database.of_game(what, game_id)
            )
            self.metrics.cached(outcome)
            if body is None:
                raise HTTPException(404, f"Game {game_id} is not known here.")
            return _json_text(body)

        return answer

    async def health(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Answer `/health`: cheap enough for a probe every second."""
        status, body = await health.brief(self.database)
        return _json(status, body)

    async def health_detailed(self, request: Request) -> Response:  # noqa: ARG002
        """Answer `/health/detailed`."""
        status, body = await health.detailed(
            self.database, self.cache, stale_after_h=self.config.stale_after_h
        )
        return _json(status, body)

    async def show_metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Answer `/metrics`."""
        return Response(self.metrics.text(), headers={"content-type": _TEXT})

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:  # noqa: ARG002
        """Hold the connections while the application runs."""
        await self.database.open()
        counting = asyncio.create_task(self.cache.keep_counting())
        try:
            yield
        finally:
            self.cache.stop_counting()
            await counting
            await self.cache.close()
            await self.database.close()


def build(config: ApiConfig) -> Starlette:
    """Return the application; it connects when it starts, and serves without the cache if it must."""
    api = Api(config)
    app = Starlette(
        routes=[
            Route("/games", api.games),
            Route("/games/{game_id}", api.of_game("game")),
            Route("/games/{game_id}/events", api.of_game("events")),
            Route("/games/{game_id}/box", api.of_game("box")),
            Route("/health", api.health),
            Route("/health/detailed", api.health_detailed),
            Route("/metrics", api.show_metrics),
        ],
        exception_handlers={
            HTTPException: _refused,
            **dict.fromkeys(database.UNAVAILABLE, _no_database),
            errors.UndefinedTable: _no_schema,
            errors.UndefinedColumn: _no_schema,
            Exception: _broken,
        },
        lifespan=api.lifespan,
    )
    app.add_middleware(_Measure, metrics=api.metrics)
    return app


class _Measure:
    """Counts and times every request, those that end in an error too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # until somebody answers otherwise
        start = time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            self._metrics.answered(route, scope["method"], status, time.perf_counter() - start)


def _day(text: str | None) -> date:
    if text is None:
        raise HTTPException(400, "The day is missing: ask /games?date=YYYY-MM-DD.")
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise HTTPException(400, f"{text[:40]!r} is no day: write it as YYYY-MM-DD.")


def _game_id(text: str) -> str:
    if not _GAME_ID.fullmatch(text):
        raise HTTPException(400, f"{text[:40]!r} is no game id: it has ten digits, such as 0022500775.")
    return text


def _json_text(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _json(status: int, body: object) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    sentence = error.detail
    if error.status_code == 404 and "route" not in request.scope:
        sentence = f"There is nothing at {request.url.path[:80]}."
    elif error.status_code == 405:
        sentence = f"{request.method} is not possible here: this API only reads."
    response = _json(error.status_code, {"error": sentence})
    response.headers.update(error.headers or {})
    return response


async def _no_database(request: Request, error: Exception) -> Response:  # noqa: ARG001
    response = _json(503, {"error": "The database does not answer: try again in a moment."})
    response.headers["retry-after"] = "5"
    return response


async def _no_schema(request: Request, error: Exception) -> Response:  # noqa: ARG001
    return _json(503, {"error": "The database has no schema, or an older one: migrate it first."})


async def _broken(request: Request, error: Exception) -> Response:  # noqa: ARG001 - uvicorn logs it
    return _json(500, {"error": "This request failed for a reason of ours: it is in the log."})
