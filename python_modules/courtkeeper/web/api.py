"""The JSON API: the store's own rows, and the same deeds as the forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.runner.record import RunStatus
from courtkeeper.store.paging import Page
from courtkeeper.store.rows import (
    AuditRow,
    FindingPoint,
    HoldRow,
    OutputRow,
    RunPage,
    RunRow,
    SlotRow,
    SpanRow,
)
from courtkeeper.web import deeds
from courtkeeper.web.site import Site

PREFIX = "/api/v1"
Value = TypeVar("Value")
_LONGEST = timedelta(days=62)
Limit = Annotated[int, Meta(ge=1, le=500, description="How many rows at most.")]
After = Annotated[str, Meta(max_length=60, description="`next` of the page before.")]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameter."""


class RunsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which runs."""

    system: str | None = None
    job: str | None = None
    status: RunStatus | None = None
    limit: Limit = 50
    after: After = ""


class OutputAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Behind which batch, and how many at most."""

    after: Annotated[int, Meta(ge=-1, le=1 << 53)] = -1
    most: Annotated[int, Meta(ge=1, le=200)] = 200


class FindingsAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which findings; `finding_id` goes with all, `status` with those that are open."""

    open: bool = True
    system: str | None = None
    job: str | None = None
    status: Status | None = None
    finding_id: str | None = None
    limit: Limit = 50
    after: After = ""


class CalendarAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when (included) to when, at most 62 days; times with their zone."""

    start: datetime
    end: datetime
    system: str | None = None


class AuditAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Limit = 50
    after: After = ""


class Thing(msgspec.Struct, frozen=True):
    """One thing that is or was wrong: now, each time, and how its last runs judged it."""

    finding: SpanRow
    times: list[SpanRow]
    history: list[FindingPoint]


class Planned(msgspec.Struct, frozen=True):
    """A slot that comes; `obstacle` is what would stand in its way."""

    system: str
    job: str
    scheduled_for: datetime
    obstacle: str


class CalendarPart(msgspec.Struct, frozen=True):
    """The slots that were made (at most 5,000), and those that come."""

    slots: list[SlotRow]
    coming: list[Planned]


class JobNow(msgspec.Struct, frozen=True):
    """A job and its last run."""

    system: str
    job: str
    last: RunRow | None


class Done(msgspec.Struct, frozen=True):
    """What came of a deed."""

    result: str


@dataclass(frozen=True)
class Operation:
    """One operation: where, what it takes (from the query, or as the body of a POST), what it answers."""

    path: str
    summary: str
    takes: type[msgspec.Struct]
    answers: Any
    do: Callable[[Site, Request, Any], object]
    method: str = "GET"


def _runs(site: Site, _request: Request, asked: RunsAsked) -> Page[RunRow]:
    return site.store.queries.latest_runs(
        system=asked.system, job=asked.job, status=asked.status, limit=asked.limit, after=asked.after
    )


def _run(site: Site, request: Request, _asked: Nothing) -> RunPage:
    return _found(site.store.queries.run_page(request.path_params["run_id"]), "run")


def _output(site: Site, request: Request, asked: OutputAsked) -> list[OutputRow]:
    run_id = request.path_params["run_id"]
    _found(site.store.queries.run(run_id), "run")
    return site.store.queries.output(run_id, after=asked.after, most=asked.most)


def _findings(site: Site, _request: Request, asked: FindingsAsked) -> Page[SpanRow]:
    queries = site.store.queries
    if asked.open:
        if asked.finding_id:
            raise ConfigurationError("finding_id goes with open=false.")
        return queries.open_findings(
            system=asked.system, job=asked.job, status=asked.status, limit=asked.limit, after=asked.after
        )
    if asked.status:
        raise ConfigurationError("status goes with open=true: a closed finding has none.")
    return queries.findings(
        system=asked.system, job=asked.job, finding_id=asked.finding_id, limit=asked.limit, after=asked.after
    )


def _finding(site: Site, request: Request, _asked: Nothing) -> Thing:
    span = _found(site.store.overview.span(request.path_params["number"]), "finding")
    times = site.store.overview.spans_of_key(span.key)
    return Thing(span, times, site.store.queries.finding_history(span.key))


def _jobs(site: Site, _request: Request, _asked: Nothing) -> list[JobNow]:
    last = {(run.system, run.job): run for run in site.last_runs()}
    return [JobNow(system, job, last.get((system, job))) for system, job in site.jobs()]


def _calendar(site: Site, _request: Request, asked: CalendarAsked) -> CalendarPart:
    if asked.start.tzinfo is None or asked.end.tzinfo is None:
        raise ConfigurationError("start and end need their zone: write them as 2026-11-22T00:00:00Z.")
    now = site.clock()
    if not timedelta(0) < asked.end - asked.start <= _LONGEST or abs(asked.start - now) > timedelta(days=800):
        raise ConfigurationError("end must come after start, at most 62 days, and not years from now.")
    systems = [s for s in site.calendars.systems if asked.system in (None, s)]
    coming = [
        Planned(system, slot.job.name, slot.scheduled_for, slot.obstacle.sentence if slot.obstacle else "")
        for system in systems
        if asked.end > now
        for slot in site.calendars.coming(system, max(now, asked.start), asked.end)
    ]
    return CalendarPart(site.store.slots.between(asked.start, asked.end, system=asked.system), coming)


def _holds(site: Site, _request: Request, _asked: Nothing) -> list[HoldRow]:
    return site.store.people.holds()


def _audit(site: Site, _request: Request, asked: AuditAsked) -> Page[AuditRow]:
    return site.store.people.audit(limit=asked.limit, after=asked.after)


def _deed(site: Site, request: Request, deed: deeds.Deed) -> Done:
    return Done(deeds.do(site, request.state.who, deed))


OPERATIONS = (
    Operation("/runs", "List runs, the latest first", RunsAsked, Page[RunRow], _runs),
    Operation("/runs/{run_id}", "All of one run", Nothing, RunPage, _run),
    Operation("/runs/{run_id}/output", "What a run printed", OutputAsked, list[OutputRow], _output),
    Operation("/findings", "List findings, open or all over time", FindingsAsked, Page[SpanRow], _findings),
    Operation("/findings/{number:int}", "One finding and its history", Nothing, Thing, _finding),
    Operation("/jobs", "List jobs with their last runs", Nothing, list[JobNow], _jobs),
    Operation("/calendar", "Past and coming slots", CalendarAsked, CalendarPart, _calendar),
    Operation("/holds", "List what is held back", Nothing, list[HoldRow], _holds),
    Operation("/audit", "The audit log, the latest first", AuditAsked, Page[AuditRow], _audit),
    *(
        Operation(f"/{verb}", (kind.__doc__ or "").split(";")[0].split("\n")[0], kind, Done, _deed, "POST")
        for verb, kind in deeds.DEEDS.items()
    ),
)


def routes(site: Site) -> list[Route]:
    """Return the API's routes."""
    return [
        Route(PREFIX + each.path, _endpoint(site, each), methods=[each.method], name=f"api {each.path}")
        for each in OPERATIONS
    ]


def _endpoint(site: Site, operation: Operation) -> Callable[..., Any]:
    if operation.method == "GET":

        def read(request: Request) -> Response:
            try:
                asked = msgspec.convert(dict(request.query_params), operation.takes, strict=False)
            except msgspec.ValidationError as error:
                raise HTTPException(400, f"{error}.") from error
            return _json(operation.do(site, request, asked))

        return read

    async def write(request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=operation.takes)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise HTTPException(400, f"{error}.") from error
        return _json(await run_in_threadpool(operation.do, site, request, asked))

    return write


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _found(value: Value | None, what: str) -> Value:
    if value is None:
        raise HTTPException(404, f"There is no such {what}.")
    return value
