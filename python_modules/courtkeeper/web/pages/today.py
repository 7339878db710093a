"""Today: how things stand, what needs a person, what runs, what waits, and what comes next."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from courtkeeper.calendar.plan import Slot
from courtkeeper.findings import Status
from courtkeeper.report import text
from courtkeeper.runner.record import RunStatus
from courtkeeper.store.rows import HoldRow, OwnerRow, RunRow, SlotRow
from courtkeeper.store.states import SlotState
from courtkeeper.web.site import Site
from courtkeeper.web.words import Badge, ago, clock, of_run, of_slot, of_status

_BACK = timedelta(hours=24)
_AHEAD = timedelta(hours=24)
_APPROVALS_AHEAD = timedelta(days=7)
_FEW = 10
_BROKEN = frozenset({RunStatus.FAILED, RunStatus.TIMEOUT, RunStatus.REFUSED})


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that needs a person: what, why, where to look, and the slot to approve, if that is it."""

    badge: Badge
    title: str
    why: str
    href: str = ""
    approve: Slot | None = None
    system: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence on top."""

    badge: Badge
    sentence: str


@dataclass(frozen=True, slots=True)
class Coming:
    """A job's next slot, how many more follow within the day, and what would stand in the way."""

    system: str
    slot: Slot
    more: int
    obstacle: str


def view(site: Site) -> dict[str, Any]:
    """Return what the page shows."""
    now = site.clock()
    store = site.store
    last = site.last_runs()
    slots = store.slots.open()
    waiting = [slot for slot in slots if slot.state != SlotState.RUNNING]
    latest = store.queries.latest_runs(limit=_FEW).rows
    holds = [hold for hold in store.people.holds() if hold.until is None or hold.until > now]
    needs = list(_needs(site, last, waiting, now))
    counts = store.queries.count_open()
    return {
        "now": now,
        "verdict": _verdict(needs, counts, last, now),
        "needs": needs,
        "counts": [(of_status(status), counts[status]) for status in _worst_first() if counts.get(status)],
        "running": store.queries.running(),
        "waiting": waiting[:_FEW],
        "coming": _coming(site, holds, needs, now)[: 2 * _FEW],
        "done": [run for run in latest if run.status != RunStatus.RUNNING],
        "mark": _mark(site, latest, slots),
        "holds": holds,
        "several": len(site.calendars.systems) > 1,
    }


def mark(site: Site) -> str:
    """Return a word that changes when anything on the page does, but for the time that passes."""
    latest = site.store.queries.latest_runs(limit=_FEW).rows
    return _mark(site, latest, site.store.slots.open())


def _mark(site: Site, latest: Sequence[RunRow], slots: Sequence[SlotRow]) -> str:
    # What closes a finding or opens one is a run that ended.
    seen = (
        [(run.run_id, run.status) for run in latest],
        [(slot.id, slot.state) for slot in slots],
        [entry.id for entry in site.store.people.audit(limit=1).rows],
    )
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:16]


def _worst_first() -> Iterable[Status]:
    return sorted((s for s in Status if s is not Status.OK), key=lambda status: -status.severity)


def _schedulers(owners: Sequence[OwnerRow], now: datetime) -> list[OwnerRow]:
    return [owner for owner in owners if owner.kind == "scheduler" and owner.lease_until > now]


def _coming(site: Site, holds: Sequence[HoldRow], needs: Sequence[Need], now: datetime) -> list[Coming]:
    unapproved = {(n.system, n.approve.job.name, n.approve.scheduled_for) for n in needs if n.approve}
    found: dict[tuple[str, str], list[Slot]] = defaultdict(list)
    for system in site.calendars.systems:
        for slot in site.calendars.coming(system, now, now + _AHEAD):
            found[system, slot.job.name].append(slot)
    coming = []
    for (system, job), slots in found.items():
        held = [hold for hold in holds if hold.system == system and hold.job in ("", job)]
        obstacle = slots[0].obstacle.sentence if slots[0].obstacle else ""
        if not obstacle and (system, job, slots[0].scheduled_for) in unapproved:
            obstacle = "it waits for approval"
        said = f"held by {held[0].by}" if held else obstacle
        coming.append(Coming(system, slots[0], len(slots) - 1, said))
    return sorted(coming, key=lambda each: (each.slot.scheduled_for, each.slot.job.name))


def _needs(site: Site, last: Sequence[RunRow], waiting: Sequence[SlotRow], now: datetime) -> Iterable[Need]:
    """Yield what needs a person, the most urgent first."""
    store = site.store
    for run in last:
        if run.status in _BROKEN:
            title, href = f"{run.job} did not finish", f"/runs/{run.run_id}"
            yield Need(of_run(run), title, run.message, href, system=run.system)
    for span in store.queries.open_findings(status=Status.CRIT, limit=_FEW).rows:
        where = f"{span.subject} on {span.host}" if span.host else span.subject
        title = f"{span.finding_id}: {where}"
        yield Need(of_status(Status.CRIT), title, span.summary, f"/findings/{span.id}", system=span.system)
    if site.calendars.systems and not _schedulers(store.owners.living(), now):
        yield Need(
            Badge("crit", "Not running"),
            "No scheduler is running",
            "Nothing in the calendar begins by itself: start `courtkeeper serve`.",
        )
    bad = store.overview.slots_in([SlotState.MISSED, SlotState.LOST], now - _BACK, now, limit=_FEW)
    for missed in bad:
        title = f"{missed.job} of {clock(missed.scheduled_for)} did not run"
        href = f"/calendar/{missed.scheduled_for:%Y-%m-%d}"
        yield Need(of_slot(missed.state), title, missed.reason, href, system=missed.system)
    for system in site.calendars.systems:
        yield from _of_calendar(site, system, waiting, now)


def _of_calendar(site: Site, system: str, waiting: Sequence[SlotRow], now: datetime) -> Iterable[Need]:
    loaded = site.calendars.loaded(system)
    for problem in loaded.problems[:_FEW] if loaded else ():
        yield Need(Badge("warn", "Calendar"), f"The calendar of {system} has to be mended", str(problem))
    if loaded is None or not any(job.approval for job in loaded.jobs):
        return
    until = now + _APPROVALS_AHEAD
    # One that is due already waits as a slot; its grace says for how long.
    start = now - max(job.grace for job in loaded.jobs)
    given = {(row.job, row.scheduled_for) for row in site.store.people.approvals(system, start, until)}
    open_slots = {(slot.job, slot.scheduled_for) for slot in waiting if slot.system == system}
    seen: set[str] = set()
    for slot in site.calendars.coming(system, start, until):
        name, at = slot.job.name, slot.scheduled_for
        wanted = slot.job.approval and (name, at) not in given and (at > now or (name, at) in open_slots)
        if not wanted or name in seen:
            continue
        seen.add(name)  # the next one of each job: what comes later stands in the calendar
        why = f"It is due {ago(at, now)}, {clock(at)}."
        badge = Badge("waiting", "To approve")
        yield Need(badge, f"{name} waits for approval", why, f"/jobs/{system}/{name}", slot, system)


def _verdict(
    needs: Sequence[Need], counts: dict[Status, int], last: Sequence[RunRow], now: datetime
) -> Verdict:
    broken = sum(run.status in _BROKEN for run in last)
    parts = [
        text.plural(number, what)
        for number, what in (
            (broken, "failed job"),
            (counts.get(Status.CRIT, 0), "critical finding"),
            (counts.get(Status.WARN, 0), "warning"),
        )
        if number
    ]
    others = [need for need in needs if need.badge.shape in {"crit", "warn", "waiting"}]
    if parts:
        shape = "crit" if broken or counts.get(Status.CRIT) else "warn"
        word = "Needs attention" if shape == "crit" else "Look at it"
        return Verdict(Badge(shape, word), f"{text.joined(parts)}.")
    if others:
        worst = "crit" if any(need.badge.shape == "crit" for need in others) else "warn"
        return Verdict(Badge(worst, "Look at it"), f"{text.plural(len(others), 'thing')} for a person.")
    ran = sum(run.started_at > now - _BACK for run in last)
    if not last:
        return Verdict(Badge("skipped", "Nothing yet"), "Nothing has run here yet.")
    jobs = text.plural(ran, "job")
    return Verdict(
        Badge("ok", "All good"), f"All good: {jobs} ran in the last 24 hours, and nothing is open."
    )
