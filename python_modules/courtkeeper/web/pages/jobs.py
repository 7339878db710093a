"""Jobs: each with its last run and its next, and one with its history, its schedule and what can be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from courtkeeper.calendar.model import Job
from courtkeeper.calendar.plan import Slot, slots
from courtkeeper.calendar.words import words
from courtkeeper.report.text import duration, integer
from courtkeeper.report.trends import Sample, trend
from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler import forecast
from courtkeeper.store.rows import RunRow
from courtkeeper.web.site import Site

_AHEAD = timedelta(days=100)  # a quarterly job has a next time too
_NEXT = 5
_LAST = 20
_TREND = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One job in the list. `job` is None where it is in no calendar any more."""

    system: str
    name: str
    job: Job | None
    last: RunRow | None
    next: datetime | None


def listed(site: Site) -> dict[str, Any]:
    """Return the view of the list."""
    now = site.clock()
    last = {(run.system, run.job): run for run in site.last_runs()}
    lines = []
    for system, name in site.jobs():
        loaded = site.calendars.loaded(system)
        job = next((each for each in loaded.jobs if each.name == name), None) if loaded else None
        following = loaded.schedules[name].after(now) if loaded and job and job.enabled else None
        lines.append(Line(system, name, job, last.get((system, name)), following))
    return {"now": now, "lines": lines, "broken": _broken(site)}


def one(site: Site, system: str, name: str) -> dict[str, Any] | None:
    """Return the view of one job; None where it is neither in a calendar nor ever ran."""
    now = site.clock()
    loaded = site.calendars.loaded(system)
    job = next((each for each in loaded.jobs if each.name == name), None) if loaded else None
    queries = site.store.queries
    runs = queries.latest_runs(system=system, job=name, limit=_TREND).rows
    if job is None and not runs:
        return None
    took = [
        Sample(run.started_at, run.duration_s)
        for run in reversed(runs)
        if run.status == RunStatus.OK and not run.check_mode
    ]
    drifted = [Sample(point.at, point.value) for point in queries.drift(system, name)]
    return {
        "now": now,
        "system": system,
        "name": name,
        "job": job,
        "runs": runs[:_LAST],
        "coming": _next(site, system, name, now),
        "slots": site.store.overview.slots_of_job(system, name, limit=_LAST),
        "forecast": forecast.of_job(site.store, system, name),
        "schedule": words(loaded.schedules[name]) if loaded and job else "",
        "window": loaded.windows.get(name) if loaded and job else None,
        "spans": queries.open_findings(system=system, job=name, limit=_LAST).rows,
        "holds": [
            hold
            for hold in site.store.people.holds(system=system)
            if hold.job in ("", name) and (hold.until is None or hold.until > now)
        ],
        "took": trend("took", f"How long {name} took", took, duration),
        "drift": trend("drift", f"How much {name} would change", drifted, _rounded),
    }


def _next(site: Site, system: str, name: str, now: datetime) -> list[Slot]:
    loaded = site.calendars.loaded(system)
    job = next((each for each in loaded.jobs if each.name == name), None) if loaded else None
    if loaded is None or job is None or not job.enabled:
        return []
    start = now + timedelta(microseconds=1)
    return list(islice(slots(loaded, start, now + _AHEAD, only=name), _NEXT))


def _broken(site: Site) -> list[str]:
    return [
        str(problem)
        for system in site.calendars.systems
        if (loaded := site.calendars.loaded(system))
        for problem in loaded.problems[:20]
    ]


def _rounded(value: float) -> str:
    return integer(round(value))
