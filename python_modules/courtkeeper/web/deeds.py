"""What a person can do from the dashboard. Forms and the API give the same structs to the same functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from courtkeeper import undo
from courtkeeper.calendar.load import Loaded
from courtkeeper.calendar.model import Job
from courtkeeper.findings import ConfigurationError
from courtkeeper.store.rows import SlotRow
from courtkeeper.store.states import SlotState
from courtkeeper.web.access import Who
from courtkeeper.web.site import Site

_AHEAD = timedelta(days=400)
_NO_NUL = r"^[^\x00]*$"  # which Postgres' texts cannot hold
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=_NO_NUL)]
Text = Annotated[str, Meta(max_length=500, pattern=_NO_NUL)]


class Approve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Approve one slot of a job that needs it; `scheduled_for` is the slot's time, with its zone."""

    system: Name
    job: Name
    scheduled_for: datetime
    note: Text = ""


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Let a job (empty: every job of the system) not begin for `hours` (0: until it is released)."""

    system: Name
    job: Text = ""
    reason: Text = ""
    hours: Annotated[float, Meta(ge=0, le=24 * 366)] = 0


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """End a hold, by its number."""

    hold: Annotated[int, Meta(ge=1, le=1 << 53)]


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask the system's scheduler to run a job now; `check`: to change nothing and say what would change.

    A disruptive job runs only if `disruptive` says that one knows.
    """

    system: Name
    job: Name
    check: bool = False
    disruptive: bool = False


class Cancel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """End a run that goes, by its id, or keep a slot that waits from running, by its number: one of both."""

    run_id: Text = ""
    slot: Annotated[int, Meta(ge=0, le=1 << 53)] = 0


class Undo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Take back one thing that a run did, by its number; `confirmed` says that its command was read."""

    run_id: Name
    action: Annotated[int, Meta(ge=1, le=1 << 53)]
    confirmed: bool = False


Deed: TypeAlias = Approve | Hold | Release | Run | Cancel | Undo
DEEDS: dict[str, type[Deed]] = {
    "approve": Approve,
    "hold": Hold,
    "release": Release,
    "run": Run,
    "cancel": Cancel,
    "undo": Undo,
}


def do(site: Site, who: Who, deed: Deed) -> str:
    """Do it and return what came of it, a key of `render.SAID`. Raises ConfigurationError if it cannot be."""
    match deed:
        case Approve():
            return _approve(site, who, deed)
        case Hold():
            return _hold(site, who, deed)
        case Release():
            done = site.store.people.release(deed.hold, by=who.name, at=site.clock())
            return "released" if done else "released-before"
        case Run():
            return _run(site, who, deed)
        case Cancel():
            return _cancel(site, who, deed)
        case Undo():
            return _undo(site, who, deed)


def _approve(site: Site, who: Who, deed: Approve) -> str:
    if deed.scheduled_for.tzinfo is None:
        raise ConfigurationError("scheduled_for needs its zone: write it as 2026-11-22T03:30:00Z.")
    at = deed.scheduled_for.astimezone(UTC)
    job = _job(site, deed.system, deed.job)
    if not job.approval:
        raise ConfigurationError(f"{job.name} needs no approval: it begins by itself.")
    if not _comes(site, deed.system, job, at):
        raise ConfigurationError(f"{job.name} has no slot at {at:%Y-%m-%d %H:%M:%S} UTC that still waits.")
    fresh = site.store.people.approve(
        deed.system, job.name, at, by=who.name, at=site.clock(), note=deed.note.strip()
    )
    return "approved" if fresh else "approved-before"


def _comes(site: Site, system: str, job: Job, at: datetime) -> bool:
    if any(slot.job == job.name and slot.scheduled_for == at for slot in _open(site, system)):
        return True
    now = site.clock()
    if not now < at < now + _AHEAD:
        return False
    loaded = _calendar(site, system)
    return next(iter(loaded.schedules[job.name].between(at, at + timedelta(microseconds=1))), None) == at


def _hold(site: Site, who: Who, deed: Hold) -> str:
    _calendar(site, deed.system)
    if deed.job:
        _job(site, deed.system, deed.job)
    now = site.clock()
    until = now + timedelta(hours=deed.hours) if deed.hours else None
    site.store.people.hold(
        deed.system, deed.job, by=who.name, at=now, reason=deed.reason.strip(), until=until
    )
    return "held"


def _run(site: Site, who: Who, deed: Run) -> str:
    job = _job(site, deed.system, deed.job)
    check = deed.check or job.check
    if job.disruptive and not check and not deed.disruptive:
        raise ConfigurationError(
            f"{job.name} stops or restarts what people use: confirm that you know it (disruptive)."
        )
    if any(slot.job == job.name and slot.trigger == "request" for slot in _open(site, deed.system)):
        return "asked-before"
    now = site.clock()
    at = now.replace(microsecond=0)  # a form that is sent twice asks once
    asked = site.store.slots.request(
        deed.system,
        job.name,
        at,
        by=who.name,
        deadline=now + max(job.grace, timedelta(hours=1)),
        options={"check": True} if deed.check else None,
    )
    if asked is None:
        return "asked-before"
    detail = "check mode" if deed.check else ""
    site.store.people.log(who.name, "run", at=now, system=deed.system, subject=job.name, detail=detail)
    return "asked"


def _cancel(site: Site, who: Who, deed: Cancel) -> str:
    if bool(deed.run_id) == bool(deed.slot):
        raise ConfigurationError("Say either run_id or slot: one run or one slot is cancelled at a time.")
    people, now = site.store.people, site.clock()
    if deed.run_id:
        if site.store.queries.run(deed.run_id) is None:
            raise ConfigurationError("There is no such run.")
        return "cancelling" if people.cancel_run(deed.run_id, by=who.name, at=now) else "over"
    if site.store.overview.slot(deed.slot) is None:
        raise ConfigurationError("There is no such slot.")
    return "cancelled" if people.cancel_slot(deed.slot, by=who.name, at=now) else "over"


def _undo(site: Site, who: Who, deed: Undo) -> str:
    page = site.store.queries.run_page(deed.run_id)
    if page is None:
        raise ConfigurationError("There is no such run.")
    _calendar(site, page.row.system)
    way = undo.to_run(undo.chosen(undo.ways_back(page.actions), deed.action, page.row.run_id))
    if not deed.confirmed:
        raise ConfigurationError(f"This runs `{way.action.undo}` {way.where}: confirm that (confirmed).")
    begun = site.undoing.begin(way, site.calendars.inventories[page.row.system], who.name)
    return "undoing" if begun else "undoing-before"


def _calendar(site: Site, system: str) -> Loaded:
    loaded = site.calendars.loaded(system)
    if loaded is None:
        known = ", ".join(site.calendars.systems) or "none"
        raise ConfigurationError(f"There is no system {system[:60]!r} here: this dashboard keeps {known}.")
    return loaded


def _job(site: Site, system: str, name: str) -> Job:
    return _calendar(site, system).job(name[:200])


def _open(site: Site, system: str) -> list[SlotRow]:
    return [slot for slot in site.store.slots.open(system=system) if slot.state != SlotState.RUNNING]
