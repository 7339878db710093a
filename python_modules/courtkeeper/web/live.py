"""A run's output while it goes, as server-sent events: `log` with lines as HTML, then `ended`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from courtkeeper.runner.record import RunStatus
from courtkeeper.store.paging import place
from courtkeeper.web.render import log_text
from courtkeeper.web.site import Site
from courtkeeper.web.words import of_run

_EVERY_S = 1.0
_ALIVE_S = 15.0
_LONGEST_S = 3600.0
_BATCHES = 50
MOST_AT_ONCE = 64


class Live:
    """The streams of one site."""

    def __init__(self, site: Site) -> None:
        """Begin with none."""
        self._site = site
        self._open = 0

    async def stream(self, request: Request) -> Response:
        """Stream what a run prints behind batch `after`, or behind the last one that the browser has."""
        run_id = request.path_params["run_id"]
        row = await run_in_threadpool(self._site.store.queries.run, run_id)
        if row is None:
            return PlainTextResponse("There is no such run.\n", 404)
        if self._open >= MOST_AT_ONCE:
            return PlainTextResponse("Too many logs are open: load the page again later.\n", 503)
        known = request.headers.get("last-event-id", "") or request.query_params.get("after", "")
        after = place(known, 1) if known and known != "-1" else None
        return StreamingResponse(
            self._events(run_id, after[0] if after else -1),
            media_type="text/event-stream",
            headers={"x-accel-buffering": "no"},
        )

    async def _events(self, run_id: str, seq: int) -> AsyncIterator[str]:
        self._open += 1
        began = spoke = time.monotonic()
        queries = self._site.store.queries
        try:
            while time.monotonic() - began < _LONGEST_S:
                # Asked first, so that what was printed before the end is sent before it.
                row = await run_in_threadpool(queries.run, run_id)
                batches = await run_in_threadpool(queries.output, run_id, after=seq, most=_BATCHES)
                for batch in batches:
                    seq, spoke = batch.seq, time.monotonic()
                    yield event("log", log_text(batch.text), seq)
                if batches:
                    continue
                if row is None or row.status != RunStatus.RUNNING:
                    yield event("ended", f"It has ended: {of_run(row).word if row else 'gone'}.")
                    return
                if time.monotonic() - spoke > _ALIVE_S:
                    spoke = time.monotonic()
                    yield ": still here\n\n"
                await asyncio.sleep(_EVERY_S)
        finally:
            self._open -= 1


def event(name: str, data: str, number: int | None = None) -> str:
    """Return one event. Each line of `data` is a line of its own, so that no text can end the event."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    said = "".join(f"data: {line}\n" for line in lines)
    mark = "" if number is None else f"id: {number}\n"
    return f"event: {name}\n{mark}{said}\n"
