"""How long a job will take, by how long it took, and what the coming days look like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from courtkeeper.calendar import plan
from courtkeeper.calendar.load import Loaded
from courtkeeper.store.store import Store

QUANTILE = 0.9  # nine of ten runs are over by then
LAST = 20  # what a job took months ago says little about today
_LEAST = 3


class Forecast(msgspec.Struct, frozen=True):
    """How many seconds a job is expected to take at most in nine of ten runs, from so many good runs."""

    expected_s: float
    runs: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """One coming slot: what would become of it, as far as one can know.

    `expected_s` and `fits` (does it end within its window) are None where there is too little history.
    `obstacle` says what would stand in its way, `waits_for` which slots would hold what it needs.
    """

    job: str
    scheduled_for: datetime
    expected_s: float | None
    fits: bool | None
    obstacle: str
    waits_for: list[str]
    disruptive: bool
    approval: bool


def forecast(durations: Sequence[float]) -> Forecast | None:
    """Return the forecast from the durations of good runs in seconds; None for fewer than three.

    The quantile is the smallest duration that is not exceeded by QUANTILE of them (nearest rank).
    """
    if len(durations) < _LEAST:
        return None
    ordered = sorted(durations)
    return Forecast(ordered[math.ceil(QUANTILE * len(ordered)) - 1], len(ordered))


def of_job(store: Store, system: str, job: str) -> Forecast | None:
    """Return a job's forecast from its last good runs in the store."""
    return forecast(store.queries.durations(system, job, last=LAST))


def of_system(store: Store, system: str, loaded: Loaded) -> dict[str, Forecast | None]:
    """Return the forecasts of a system's jobs."""
    return {job.name: of_job(store, system, job.name) for job in loaded.jobs}


def preview(
    store: Store,
    system: str,
    loaded: Loaded,
    start: datetime,
    end: datetime,
    forecasts: Mapping[str, Forecast | None] | None = None,
) -> list[Preview]:
    """Return what would run from `start` to before `end`, in order; nothing is done.

    `forecasts`: those of the system's jobs, where the caller has them.
    """
    known = forecasts if forecasts is not None else of_system(store, system, loaded)
    found: list[Preview] = []
    busy: dict[str, list[tuple[datetime, str]]] = {}
    for slot in plan.slots(loaded, start, end):
        job, begins = slot.job, slot.scheduled_for
        expected = known.get(job.name)
        ends = begins + timedelta(seconds=expected.expected_s if expected else 0)
        holders = [name for key in job.locks for until, name in busy.get(key, []) if until > begins]
        for key in job.locks:
            # Only those that still hold something are kept: a long preview stays small.
            held = [each for each in busy.get(key, []) if each[0] > begins]
            busy[key] = [*held, (ends, f"{job.name} at {begins:%Y-%m-%d %H:%M} UTC")]
        window = loaded.windows[job.name]
        found.append(
            Preview(
                job=job.name,
                scheduled_for=begins,
                expected_s=expected.expected_s if expected else None,
                fits=None if expected is None or window is None else ends <= window.next_close(begins),
                obstacle=slot.obstacle.sentence if slot.obstacle else "",
                waits_for=sorted(set(holders)),
                disruptive=job.disruptive,
                approval=job.approval,
            )
        )
    return found
