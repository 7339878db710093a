"""What stands in the way of a slot that is due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from courtkeeper.calendar.load import Loaded
from courtkeeper.calendar.model import After, Job
from courtkeeper.calendar.plan import obstacle
from courtkeeper.scheduler.forecast import Forecast
from courtkeeper.store.dispatch import Dispatch
from courtkeeper.store.rows import HoldRow, SlotRow
from courtkeeper.store.slots import ON_TIME


def in_the_way(dispatch: Dispatch, loaded: Loaded, job: Job, slot: SlotRow, now: datetime) -> str:
    """Return why a slot may not begin now, in a few words; empty if it may.

    What a person asked for (`trigger` is request) needs no approval, no window and nothing before it.
    """
    if held := _held(dispatch.holds(), job):
        return held
    asked = slot.trigger == "request"
    found = obstacle(loaded, job, now)
    if found and not (asked and found.kind == "window"):
        return f"{found.sentence}, until {found.until:%Y-%m-%d %H:%M} UTC"
    if asked:
        return ""
    if job.approval and dispatch.approval(slot) is None:
        return "it waits for approval (courtkeeper approve)"
    for each in job.after:
        if missing := _not_passed(dispatch, each, now):
            return missing
    return ""


def too_long(loaded: Loaded, job: Job, slot: SlotRow, forecast: Forecast | None, now: datetime) -> str:
    """Return why a disruptive job that is late does not begin: it would not end within its window."""
    window = loaded.windows[job.name]
    late = now - slot.scheduled_for > ON_TIME
    if window is None or forecast is None or not (job.disruptive and late) or slot.trigger == "request":
        return ""
    left = window.next_close(now) - now
    if timedelta(seconds=forecast.expected_s) <= left:
        return ""
    return (
        f"it takes {forecast.expected_s / 60:.0f} min and its window {window} "
        f"closes in {left.total_seconds() / 60:.0f}"
    )


def _held(holds: Sequence[HoldRow], job: Job) -> str:
    for hold in holds:
        if hold.job in ("", job.name):
            until = f" until {hold.until:%Y-%m-%d %H:%M} UTC" if hold.until else ""
            return f"held by {hold.by}{until}{f': {hold.reason}' if hold.reason else ''}"
    return ""


def _not_passed(dispatch: Dispatch, after: After, now: datetime) -> str:
    passed = dispatch.last_passed(after.job)
    if passed is not None and passed > now - after.within:
        return ""
    return f"{after.job} has not passed within {after.within_hours:g} h"
