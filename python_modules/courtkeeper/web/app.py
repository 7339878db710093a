"""The Starlette application: routes, forms, and errors as sentences."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.report import page as report
from courtkeeper.web import api, deeds, openapi, render
from courtkeeper.web.access import Gate
from courtkeeper.web.guard import Guard
from courtkeeper.web.live import Live
from courtkeeper.web.metrics import Meters, Timed
from courtkeeper.web.pages import audit, calendar, findings, jobs, kpis, runs, today
from courtkeeper.web.sessions import Sessions
from courtkeeper.web.site import Site
from courtkeeper.web.tokens import digest_of

_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_LONGEST_PLACE = 2000
View = TypeVar("View")


def build(site: Site, gate: Gate) -> Starlette:
    """Return the application over `site`, for those whom `gate` lets in."""
    sessions, meters = Sessions(), Meters(site)
    pages = Pages(site, gate, sessions)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        threading.Thread(target=pages.warm, name="courtkeeper-warm", daemon=True).start()
        yield

    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", pages.today),
            Route("/today/mark", pages.mark),
            Route("/calendar", pages.calendar),
            Route("/calendar/{day}", pages.day),
            Route("/jobs", pages.jobs),
            Route("/jobs/{system}/{job}", pages.job),
            Route("/runs", pages.runs),
            Route("/runs/{run_id}", pages.run),
            Route("/runs/{run_id}/live", Live(site).stream),
            Route("/runs/{run_id}/output.txt", pages.output),
            Route("/runs/{run_id}/report.html", pages.report),
            Route("/runs/{run_id}/undo/{number:int}", pages.undo),
            Route("/runs/{run_id}/undo/{number:int}/state", pages.undo_state),
            Route("/findings", pages.findings),
            Route("/findings/{number:int}", pages.finding),
            Route("/kpis", pages.kpis),
            Route("/audit", pages.audit),
            Route("/do/{verb}", pages.do, methods=["POST"]),
            Route("/login", pages.login),
            Route("/login", pages.sign_in, methods=["POST"]),
            Route("/logout", pages.sign_out, methods=["POST"]),
            Route("/static/{hash}/{name}", _static),
            Route("/health", _health),
            Route("/metrics", lambda _: Response(meters.text(), media_type="text/plain; version=0.0.4")),
            Route("/api/openapi.json", lambda _: JSONResponse(openapi.document())),
            *api.routes(site),
        ],
        middleware=[Middleware(Timed, meters=meters), Middleware(Guard, gate=gate, sessions=sessions)],
        exception_handlers={
            HTTPException: _http_error,
            ConfigurationError: _bad_request,
            CourtkeeperError: _not_now,
            Exception: _broken,
        },
    )
    app.state.tokens = gate.access.token_file is not None
    return app


class Pages:
    """The pages, as endpoints. Those that ask the store are plain functions: they run in threads."""

    def __init__(self, site: Site, gate: Gate, sessions: Sessions) -> None:
        """Show `site`."""
        self._site = site
        self._gate = gate
        self._sessions = sessions
        self._kpis = kpis.Kpis(site)

    def warm(self) -> None:
        """Work out what takes long and is kept, before somebody waits for it."""
        with contextlib.suppress(CourtkeeperError):  # a page says what is wrong
            today.view(self._site)
            self._kpis.warm()

    def today(self, request: Request) -> Response:
        """Answer `/`."""
        return render.page(request, "today.html.j2", today.view(self._site), title="Today")

    def mark(self, request: Request) -> Response:
        """Answer whether anything has changed since the page with `?was=` was made: 204, or a note."""
        if request.query_params.get("was") == today.mark(self._site):
            return Response(status_code=204)
        return render.part("_changed.html.j2", {})

    def calendar(self, request: Request) -> Response:
        """Answer `/calendar`."""
        given = _given(request, "month", "system")
        view = calendar.month(self._site, given["month"], given["system"] or None)
        return render.page(request, "calendar.html.j2", view, title=f"Calendar, {view['name']}")

    def day(self, request: Request) -> Response:
        """Answer `/calendar/2026-11-22`."""
        system = _given(request, "system")["system"] or None
        view = calendar.day(self._site, request.path_params["day"], system)
        return render.page(request, "day.html.j2", view, title=f"Calendar, {view['which']}")

    def jobs(self, request: Request) -> Response:
        """Answer `/jobs`."""
        return render.page(request, "jobs.html.j2", jobs.listed(self._site), title="Jobs")

    def job(self, request: Request) -> Response:
        """Answer one job."""
        view = jobs.one(self._site, request.path_params["system"], request.path_params["job"])
        view = _found(view, "job")
        return render.page(request, "job.html.j2", view, title=f"{view['name']} on {view['system']}")

    def runs(self, request: Request) -> Response:
        """Answer `/runs`."""
        given = _given(request, "system", "job", "status", "after")
        return render.page(request, "runs.html.j2", runs.listed(self._site, given), title="Runs")

    def run(self, request: Request) -> Response:
        """Answer one run."""
        view = _found(runs.one(self._site, request.path_params["run_id"]), "run")
        return render.page(request, "run.html.j2", view, title=f"{view['badge'].word}: {view['run'].job}")

    def output(self, request: Request) -> Response:
        """Answer with all that a run printed, as it was printed; from the store, never from a path."""
        run_id = request.path_params["run_id"]
        _found(self._site.store.queries.run(run_id), "run")

        def batches() -> Iterator[bytes]:
            seq = -1
            while found := self._site.store.queries.output(run_id, after=seq, most=50):
                seq = found[-1].seq
                yield "".join(batch.text for batch in found).encode("utf-8", "replace")

        return StreamingResponse(batches(), media_type="text/plain; charset=utf-8")

    def report(self, request: Request) -> Response:
        """Answer with a run's static report."""
        found = _found(self._site.store.queries.run_page(request.path_params["run_id"]), "run")
        record = _found(found.record, "report of that run any more, or yet")
        return HTMLResponse(report.render(record), headers={"content-security-policy": _REPORT_POLICY})

    def undo(self, request: Request) -> Response:
        """Show what would be run to take something back, and ask whether to."""
        view = runs.undo_page(self._site, request.path_params["run_id"], request.path_params["number"])
        view = _found(view, "thing to take back, or it was taken back before")
        return render.page(request, "undo.html.j2", view, title="Take this back?")

    def undo_state(self, request: Request) -> Response:
        """Answer how it stands with what is being taken back: 204 while it goes on."""
        each = runs.undo_state(self._site, request.path_params["run_id"], request.path_params["number"])
        if each is None or (each.attempt and each.attempt.going):
            return Response(status_code=204)
        who = request.state.who
        view = {"each": each, "now": self._site.clock(), "can": who is not None and who.operates}
        answer = render.part("_undone.html.j2", view)
        answer.status_code = 286  # by which htmx knows that it need not ask again
        return answer

    def findings(self, request: Request) -> Response:
        """Answer `/findings`."""
        given = _given(request, "state", "system", "job", "status", "finding", "after")
        return render.page(request, "findings.html.j2", findings.listed(self._site, given), title="Findings")

    def finding(self, request: Request) -> Response:
        """Answer one finding."""
        view = _found(findings.one(self._site, request.path_params["number"]), "finding")
        return render.page(request, "finding.html.j2", view, title=f"Finding: {view['span'].subject}")

    def kpis(self, request: Request) -> Response:
        """Answer `/kpis`."""
        given = _given(request, "system", "days")
        return render.page(request, "kpis.html.j2", self._kpis.view(given), title="KPIs")

    def audit(self, request: Request) -> Response:
        """Answer `/audit`."""
        after = _given(request, "after")["after"]
        return render.page(request, "audit.html.j2", audit.view(self._site, after), title="Audit log")

    async def do(self, request: Request) -> Response:
        """Do what a form asks for, and lead back to its page with a word of what came of it."""
        kind = deeds.DEEDS.get(request.path_params["verb"])
        if kind is None:
            raise HTTPException(404, "There is no such deed.")
        form = dict(request.state.form)
        form.pop("csrf")
        back = _own_place(form.pop("back", "/"))
        try:
            deed: Any = msgspec.convert({k: v for k, v in form.items() if v}, kind, strict=False)
        except msgspec.ValidationError as error:
            raise HTTPException(400, f"{error}.") from error
        said = await run_in_threadpool(deeds.do, self._site, request.state.who, deed)
        place = re.sub(r"([?&])said=[\w-]*&?", r"\1", back).rstrip("?&")
        return RedirectResponse(f"{place}{'&' if '?' in place else '?'}said={said}", 303)

    def login(self, request: Request) -> Response:
        """Show the form for a token."""
        if self._gate.access.token_file is None:
            return RedirectResponse("/", 303)
        return self._login_page(request, _given(request, "next")["next"], wrong=False)

    async def sign_in(self, request: Request) -> Response:
        """Take a token and begin a session under a new id."""
        form = request.state.form
        token = form.get("token", "").strip()
        who = await run_in_threadpool(self._gate.by_token, token)
        if who is None:
            return self._login_page(request, form.get("next", "/"), wrong=True)
        request.state.session.id = self._sessions.sign_in(digest_of(token))
        request.state.session.keep = True
        at = self._site.clock()
        await run_in_threadpool(self._site.store.people.log, who.name, "login", at=at, detail=str(who.role))
        return RedirectResponse(_own_place(form.get("next", "/")), 303)

    async def sign_out(self, request: Request) -> Response:
        """End a session."""
        self._sessions.sign_out(request.state.session.id)
        return RedirectResponse("/login", 303)

    def _login_page(self, request: Request, place: str, *, wrong: bool) -> Response:
        view = {"next": _own_place(place or "/"), "wrong": wrong}
        return render.page(request, "login.html.j2", view, title="Sign in", status=403 if wrong else 200)


def _given(request: Request, *names: str) -> dict[str, str]:
    """Return these parameters of the address, empty where they are not given."""
    return {name: request.query_params.get(name, "").strip()[:300] for name in names}


def _found(view: View | None, what: str) -> View:
    if view is None:
        raise HTTPException(404, f"There is no such {what}.")
    return view


def _own_place(place: str) -> str:
    """Return a path of ours, whatever was asked for: never another site."""
    plain = place[:_LONGEST_PLACE]
    if not re.fullmatch(r"/[!-\[\]-~]*", plain) or plain.startswith("//"):
        return "/"
    parts = urlsplit(plain)
    return plain if not parts.scheme and not parts.netloc else "/"


def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in render.STATIC:
        raise HTTPException(404, "There is no such file.")
    return Response(
        render.content(name),
        media_type=_TYPES[name.rpartition(".")[2]],
        headers={"cache-control": "public, max-age=31536000, immutable"},
    )


def _health(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


def _answer(
    request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> Response:
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": sentence}, status, headers=headers)
    if getattr(request.state, "who", None) is None:
        return PlainTextResponse(sentence + "\n", status, headers=headers)
    view = {"sentence": sentence, "status": status}
    found = render.page(request, "error.html.j2", view, title="That did not work", status=status)
    found.headers.update(headers or {})
    return found


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    sentence = {"Not Found": "There is no such page.", "Method Not Allowed": "This cannot be asked that way."}
    return _answer(request, error.status_code, sentence.get(error.detail, error.detail), error.headers)


def _bad_request(request: Request, error: Exception) -> Response:
    return _answer(request, 400, str(error))


def _not_now(request: Request, error: Exception) -> Response:
    return _answer(request, 503, str(error))


def _broken(request: Request, _error: Exception) -> Response:
    return _answer(request, 500, "The dashboard failed at this page; its log says how.")
