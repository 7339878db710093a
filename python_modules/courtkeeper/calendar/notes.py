"""What is right as it is written and may still not be meant: said by `courtkeeper calendar check`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from courtkeeper.calendar.load import Loaded
from courtkeeper.calendar.model import Job
from courtkeeper.calendar.recurrence import Irregular

_YEAR = timedelta(days=366)
_SLOTS = 60


def notes(loaded: Loaded, now: datetime) -> list[str]:
    """Return a sentence for each enabled job that clocks move within a year, that may not end within its
    window, or whose slots no run of what must have passed before precedes in time.
    """
    enabled = [job for job in loaded.jobs if job.enabled]
    return [f"{job.name}: {said}." for job in enabled for said in _of(loaded, job, now)]


def _of(loaded: Loaded, job: Job, now: datetime) -> Iterator[str]:
    yield from _moved(loaded, job, now)
    yield from _too_long(loaded, job, now)
    for each in job.after:
        yield from _unpreceded(loaded, job, each.job, each.within, now)


def _moved(loaded: Loaded, job: Job, now: datetime) -> Iterator[str]:
    schedule = loaded.schedules[job.name]
    first = next(schedule.irregular(now, now + _YEAR), None)
    if first is None:
        return
    when = f"{first.local:%H:%M} on {first.local:%d %B %Y}"
    if first.irregular is Irregular.MISSING:
        begins = first.instant.astimezone(schedule.zone)
        yield f"{when} does not exist, as clocks go forward: it begins at {begins:%H:%M}"
    else:
        yield f"{when} comes twice, as clocks go back: it begins once, at {first.instant:%H:%M} UTC"


def _too_long(loaded: Loaded, job: Job, now: datetime) -> Iterator[str]:
    window, due = loaded.windows[job.name], loaded.schedules[job.name].after(now)
    if window is None or due is None or not window.contains(due):
        return
    left = window.next_close(due) - due
    if left < job.timeout:
        minutes = round(left.total_seconds() / 60)
        may = f"it may run for {job.timeout_minutes} min"
        yield f"{may}, and its window {window} closes {minutes} min after it begins"


def _unpreceded(loaded: Loaded, job: Job, before: str, within: timedelta, now: datetime) -> Iterator[str]:
    """Yield a sentence where a slot has no slot of `before` in time before it."""
    other = next((each for each in loaded.jobs if each.name == before), None)
    if other is None or not other.enabled:
        yield f"it runs only after {before}, which {'is broken' if other is None else 'is disabled'}"
        return
    schedule = loaded.schedules[before]
    for slot in islice(loaded.schedules[job.name].between(now + within, now + within + _YEAR), _SLOTS):
        if next(schedule.between(slot - within, slot), None) is None:
            local = slot.astimezone(loaded.schedules[job.name].zone)
            hours = within.total_seconds() / 3600
            yield f"it is due on {local:%d %B %Y %H:%M}, and {before} not once in the {hours:g} h before"
            return
