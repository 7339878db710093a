"""Findings: what is open or was, and the history of one thing."""

from __future__ import annotations

from typing import Any

from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.report.text import number, quantity
from courtkeeper.report.trends import Sample, trend
from courtkeeper.web.site import Site
from courtkeeper.web.words import of_status

_SIZE = 50
_STATES = ("open", "all")


def listed(site: Site, given: dict[str, str]) -> dict[str, Any]:
    """Return the view of the list. `given`: state (open, all), system, job, status, finding and after."""
    state = given["state"] or "open"
    if state not in _STATES:
        raise ConfigurationError(f"{state[:20]!r} is no state of findings: say open or all.")
    queries = site.store.queries
    scope = {"system": given["system"] or None, "job": given["job"] or None}
    if state == "open" and not given["finding"]:
        found = queries.open_findings(
            **scope, status=_status(given["status"]), limit=_SIZE, after=given["after"]
        )
    else:
        found = queries.findings(
            **scope, finding_id=given["finding"] or None, limit=_SIZE, after=given["after"]
        )
        state = "all"
    counts = queries.count_open(system=scope["system"])
    jobs = site.jobs()
    return {
        "now": site.clock(),
        "spans": found.rows,
        "next": found.next,
        "state": state,
        "given": {**given, "state": state},
        "counts": [(of_status(status), count) for status, count in _ordered(counts)],
        "systems": sorted({system for system, _ in jobs}),
        "jobs": sorted({job for _, job in jobs}),
        "statuses": [str(status) for status in (Status.CRIT, Status.WARN, Status.UNKNOWN)],
    }


def one(site: Site, number_of_span: int) -> dict[str, Any] | None:
    """Return the view of one thing that is or was wrong, with its history; None where there is none."""
    span = site.store.overview.span(number_of_span)
    if span is None:
        return None
    history = site.store.queries.finding_history(span.key)
    samples = [Sample(point.at, point.value, str(point.status)) for point in history]

    def shown(value: float) -> str:
        return quantity(value, span.unit) if span.unit else number(value)

    return {
        "now": site.clock(),
        "span": span,
        "badge": of_status(Status.OK if span.closed_at else span.severity),
        "times": site.store.overview.spans_of_key(span.key),
        "history": list(reversed(history)),
        "chart": trend("history", f"{span.subject}: what was observed", samples, shown),
        "observed": quantity(_as_number(span.observed), span.unit),
        "threshold": quantity(_as_number(span.threshold), span.unit),
    }


def _as_number(value: str) -> float | str | None:
    if not value:
        return None
    try:
        found = float(value)
    except ValueError:
        return value
    return int(found) if found.is_integer() else found


def _ordered(counts: dict[Status, int]) -> list[tuple[Status, int]]:
    return sorted(counts.items(), key=lambda each: -each[0].severity)


def _status(word: str) -> Status | None:
    if not word:
        return None
    try:
        return Status(word)
    except ValueError:
        raise ConfigurationError(
            f"{word[:20]!r} is no status of a finding: say one of {', '.join(Status)}."
        ) from None
