"""From a view to a page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from courtkeeper import __version__
from courtkeeper.report import text
from courtkeeper.report.environment import environment
from courtkeeper.web import words

NAVIGATION = (
    ("/", "Today"),
    ("/calendar", "Calendar"),
    ("/jobs", "Jobs"),
    ("/runs", "Runs"),
    ("/findings", "Findings"),
    ("/kpis", "KPIs"),
    ("/audit", "Audit log"),
)
# What a form's answer may say, by the word that stands in the address: never a text of the address itself.
SAID = {
    "approved": "Approved: it begins at its time.",
    "approved-before": "It was approved before.",
    "held": "Held: it does not begin until it is released.",
    "released": "Released.",
    "released-before": "That hold had ended already.",
    "asked": "Asked for: the scheduler begins it as soon as nothing is in its way.",
    "asked-before": "It was asked for already and has not begun yet.",
    "cancelling": "The run is asked to end; its processes are ended within seconds.",
    "cancelled": "Cancelled: this slot does not run.",
    "undoing": "It is being taken back; below it says how that ends.",
    "undoing-before": "It is being taken back already.",
    "over": "It had ended or begun already: nothing was done.",
}


def page(
    request: Request, template: str, view: Mapping[str, Any], *, title: str, status: int = 200
) -> HTMLResponse:
    """Return a whole page. Every value of `view` is escaped by the template."""
    # Only a page with forms needs the cookie that they are checked by.
    who = request.state.who
    known = request.query_params.get("said", "")
    body = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            version=__version__,
            who=who,
            can=who is not None and who.operates,
            csrf=request.state.csrf,
            signed_in=request.state.who is not None and request.app.state.tokens,
            path=request.url.path,
            here=_section(request.url.path),
            navigation=NAVIGATION,
            said=SAID.get(known, ""),
            static=static,
            **view,
        )
    )
    return HTMLResponse(body, status)


def part(template: str, view: Mapping[str, Any]) -> HTMLResponse:
    """Return a part of a page, which htmx puts in its place."""
    return HTMLResponse(_environment().get_template(template).render(static=static, **view))


@cache
def static(name: str) -> str:
    """Return the address of a static file; it changes with the file, so that browsers may keep it."""
    return f"/static/{hashlib.sha256(content(name)).hexdigest()[:12]}/{name}"


@cache
def content(name: str) -> bytes:
    """Return a static file of ours. Raises KeyError for any other name."""
    package, path = _STATIC[name]
    return files(package).joinpath(path).read_bytes()


_STATIC = {
    "report.css": ("courtkeeper.report", "templates/report.css"),
    "site.css": ("courtkeeper.web", "static/site.css"),
    "live.js": ("courtkeeper.web", "static/live.js"),
    "htmx.min.js": ("courtkeeper.web", "static/vendor/htmx.min.js"),
    "htmx-sse.min.js": ("courtkeeper.web", "static/vendor/htmx-sse.min.js"),
}
STATIC = frozenset(_STATIC)


def _section(path: str) -> str:
    """Return the address of the part of the navigation that a page belongs to."""
    return "/" + path.strip("/").partition("/")[0]


def log_text(lines: str) -> Markup:
    """Return output as a page shows it: whole, without terminal codes, escaped."""
    return Markup.escape(text.clean(lines, len(lines) + 1))


@cache
def _environment() -> Any:  # noqa: ANN401 - Jinja's, with our filters
    made = environment("courtkeeper.web")
    made.filters.update(
        clock=words.clock,
        iso=words.iso,
        stamp=words.stamp,
        ago=words.ago,
        duration=text.duration,
        integer=text.integer,
        short=text.short,
        came_to=words.came_to,
        of_run=words.of_run,
        of_slot=words.of_slot,
        of_status=words.of_status,
    )
    return made
