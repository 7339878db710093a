"""What comes next: the slots of all jobs in order, and what stands in the way of one."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from courtkeeper.calendar.load import Loaded
    from courtkeeper.calendar.model import Job


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a job may not begin now: `kind` is `window` or `blackout`, `until` when that ends (UTC)."""

    kind: str
    sentence: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """One time at which a job is due (UTC), and what stands in its way there."""

    scheduled_for: datetime
    job: Job
    obstacle: Obstacle | None = None


def chain(loaded: Loaded, first: str, last: str) -> list[str]:
    """Return the jobs from `first` to `last`, each behind all that it waits for (`after`) of them.

    Jobs on which `last` waits, but which do not wait for `first`, are none of them. Empty where `last` does
    not wait for `first`.
    """
    waits = {job.name: [each.job for each in job.after] for job in loaded.jobs}
    found: dict[str, bool] = {first: True}  # whether a job is behind `first`; in the order of the chain

    def behind(name: str) -> bool:
        if name not in found:
            # No circle: a job that waits for itself is not among the good ones.
            is_behind = [behind(each) for each in waits.get(name, ())]
            found[name] = any(is_behind)
        return found[name]

    return [name for name, is_behind in found.items() if is_behind] if behind(last) else []


def slots(loaded: Loaded, start: datetime, end: datetime, *, only: str = "") -> Iterator[Slot]:
    """Yield the slots of all enabled jobs from `start` on and before `end`, by time and then by name.

    Lazily: a caller who takes three pays for three. `only` names the one job wanted.
    """

    def of(job: Job) -> Iterator[tuple[datetime, str]]:
        for instant in loaded.schedules[job.name].between(start, end):
            yield instant, job.name

    wanted = {job.name: job for job in loaded.jobs if job.enabled and only in ("", job.name)}
    for instant, name in heapq.merge(*(of(job) for job in wanted.values())):
        yield Slot(instant, wanted[name], obstacle(loaded, wanted[name], instant))


def obstacle(loaded: Loaded, job: Job, now: datetime) -> Obstacle | None:
    """Return why `job` may not begin at `now`, of several the one that lasts longest; None if it may."""
    found = []
    if span := loaded.blackouts[job.name].at(now):
        found.append(Obstacle("blackout", f"blackout: {span.name}", span.end))
    window = loaded.windows[job.name]
    if window is not None and not window.contains(now):
        found.append(Obstacle("window", f"outside its window {window}", window.next_opening(now)))
    return max(found, key=lambda each: each.until, default=None)
