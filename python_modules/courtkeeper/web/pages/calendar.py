"""The calendar: a month in which past and coming runs stand in one grid, and a day with all its slots."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from courtkeeper.findings import ConfigurationError
from courtkeeper.scheduler import forecast
from courtkeeper.scheduler.forecast import Preview
from courtkeeper.store.rows import SlotRow
from courtkeeper.store.states import SlotState
from courtkeeper.web.site import Site
from courtkeeper.web.words import PLANNED, Badge, of_slot, worst_first

_IN_A_CELL = 10
_IN_A_DAY = 500
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_FIRST_YEAR, _YEARS_AHEAD = 2020, 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One job on one day: its worst state, when it is first due, and how often."""

    system: str
    job: str
    badge: Badge
    first: datetime
    number: int
    bad: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """One cell."""

    day: date
    entries: tuple[Entry, ...]
    more: int
    within: bool
    today: bool


@dataclass(frozen=True, slots=True)
class Week:
    """One row of the grid; `busy`: something of the month stands in it."""

    days: tuple[Day, ...]

    @property
    def busy(self) -> bool:
        """Whether a day of the month has an entry."""
        return any(day.within and day.entries for day in self.days)


@dataclass(frozen=True, slots=True)
class Line:
    """One slot of a day: one that was made, or one that comes."""

    at: datetime
    system: str
    job: str
    badge: Badge
    slot: SlotRow | None = None
    preview: Preview | None = None
    approved_by: str = ""
    to_approve: bool = False


def month(site: Site, word: str, system: str | None) -> dict[str, Any]:
    """Return the view of a month (`2026-11`; empty: this one). Raises ConfigurationError for no month."""
    now = site.clock()
    first = _month(word, now)
    following = (first + timedelta(days=32)).replace(day=1)
    start = first - timedelta(days=first.weekday())
    last = following - timedelta(days=1)
    end = last + timedelta(days=7 - last.weekday())
    cells = _cells(site, _midnight(start), _midnight(end), system, now)
    days = [
        _day(start + timedelta(days=number), cells, within=first, today=now.date())
        for number in range((end - start).days)
    ]
    return {
        "now": now,
        "name": f"{_MONTHS[first.month - 1]} {first.year}",
        "weeks": [Week(tuple(days[number : number + 7])) for number in range(0, len(days), 7)],
        "before": f"{first - timedelta(days=1):%Y-%m}" if first.year > _FIRST_YEAR else "",
        "after": f"{following:%Y-%m}" if following.year <= now.year + _YEARS_AHEAD else "",
        "this": f"{first:%Y-%m}",
        "system": system or "",
        "systems": site.calendars.systems,
        "problems": [
            str(problem)
            for name in site.calendars.systems
            if (loaded := site.calendars.loaded(name))
            for problem in loaded.problems[:20]
        ],
    }


def day(site: Site, word: str, system: str | None) -> dict[str, Any]:
    """Return the view of a day (`2026-11-22`). Raises ConfigurationError for no such day."""
    now = site.clock()
    which = _as_day(word, now)
    start = _midnight(which)
    end = start + timedelta(days=1)
    made = site.store.slots.between(start, end, system=system, limit=_IN_A_DAY + 1)
    others = site.store.overview.runs_by_hand(start, end)
    lines = [_made(site, slot, now) for slot in made[:_IN_A_DAY]]
    for name in site.calendars.systems:
        if system in (None, name) and end > now:
            lines += _planned(site, name, max(start, now), end, made)
    lines.sort(key=lambda line: (line.at, line.system, line.job))
    return {
        "now": now,
        "which": which,
        "lines": lines[:_IN_A_DAY],
        "more": len(made) > _IN_A_DAY or len(lines) > _IN_A_DAY,
        "others": [run for run in others if system in (None, run.system)],
        "before": which - timedelta(days=1),
        "after": which + timedelta(days=1),
        "several": len(site.calendars.systems) > 1,
    }


def _cells(
    site: Site, start: datetime, end: datetime, system: str | None, now: datetime
) -> dict[date, list[Entry]]:
    states: dict[tuple[date, str, str], Counter[SlotState]] = defaultdict(Counter)
    first: dict[tuple[date, str, str], datetime] = {}
    for row in site.store.overview.slot_days(start, min(end, now + timedelta(days=1)), system=system):
        key = row.day.date(), row.system, row.job
        states[key][row.state] += row.number
        first[key] = min(first.get(key, row.first), row.first)
    planned: Counter[tuple[date, str, str]] = Counter()
    notes: dict[tuple[date, str, str], str] = {}
    for name in site.calendars.systems:
        if system not in (None, name) or end <= now:
            continue
        for slot in site.calendars.coming(name, max(start, now), end):
            key = slot.scheduled_for.date(), name, slot.job.name
            planned[key] += 1
            first[key] = min(first.get(key, slot.scheduled_for), slot.scheduled_for)
            if slot.obstacle:
                notes[key] = slot.obstacle.sentence
    cells: dict[date, list[Entry]] = defaultdict(list)
    for key in sorted(states.keys() | planned.keys(), key=lambda each: (first[each], each)):
        ordered = worst_first(states[key]) if key in states else []
        badge = of_slot(ordered[0][0]) if ordered else PLANNED
        if key in notes and not ordered:
            badge = Badge("skipped", "Planned, in a blackout or outside its window")
        bad = sum(number for state, number in ordered if state in _BAD)
        number = sum(number for _, number in ordered) + planned[key]
        cells[key[0]].append(Entry(key[1], key[2], badge, first[key], number, bad, notes.get(key, "")))
    return cells


_BAD = {SlotState.FAILED, SlotState.MISSED, SlotState.LOST}


def _day(which: date, cells: dict[date, list[Entry]], *, within: date, today: date) -> Day:
    entries = cells.get(which, [])
    # Where there are too many, those that went wrong are shown first.
    chosen = sorted(entries, key=lambda entry: -entry.bad)[:_IN_A_CELL]
    shown = tuple(sorted(chosen, key=lambda entry: (entry.first, entry.job)))
    return Day(which, shown, len(entries) - len(shown), which.month == within.month, which == today)


def _made(site: Site, slot: SlotRow, now: datetime) -> Line:
    waits = slot.finished_at is None and slot.state != SlotState.RUNNING
    loaded = site.calendars.loaded(slot.system)
    wanted = waits and loaded is not None and any(j.name == slot.job and j.approval for j in loaded.jobs)
    given = _approvals(site, slot.system, slot.scheduled_for) if wanted else {}
    by = given.get((slot.job, slot.scheduled_for), "")
    return Line(
        slot.scheduled_for, slot.system, slot.job, of_slot(slot.state), slot=slot,
        approved_by=by, to_approve=bool(wanted and not by and slot.scheduled_for <= now),
    )  # fmt: skip


def _planned(site: Site, system: str, start: datetime, end: datetime, made: Sequence[SlotRow]) -> list[Line]:
    loaded = site.calendars.loaded(system)
    if loaded is None:
        return []
    known = {(slot.system, slot.job, slot.scheduled_for) for slot in made}
    given = _approvals(site, system, start, end)
    lines = []
    for each in forecast.preview(site.store, system, loaded, start, end, site.forecasts(system, loaded)):
        if (system, each.job, each.scheduled_for) in known:
            continue
        by = given.get((each.job, each.scheduled_for), "")
        lines.append(
            Line(
                each.scheduled_for, system, each.job, PLANNED, preview=each,
                approved_by=by, to_approve=each.approval and not by,
            )
        )  # fmt: skip
    return lines


def _approvals(
    site: Site, system: str, start: datetime, end: datetime | None = None
) -> dict[tuple[str, datetime], str]:
    until = end or start + timedelta(microseconds=1)
    found = site.store.people.approvals(system, start, until)
    return {(row.job, row.scheduled_for): row.by for row in found}


def _month(word: str, now: datetime) -> date:
    if not word:
        return now.date().replace(day=1)
    match = re.fullmatch(r"(\d{4})-(\d{2})", word)
    if not match or not 1 <= int(match[2]) <= 12:
        raise ConfigurationError(f"{word[:20]!r} is no month: write it as {now:%Y-%m}.")
    return _bounded(date(max(int(match[1]), 1), int(match[2]), 1), now)


def _as_day(word: str, now: datetime) -> date:
    try:
        found = date.fromisoformat(word) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", word) else None
    except ValueError:
        found = None
    if found is None:
        raise ConfigurationError(f"{word[:20]!r} is no day: write it as {now:%Y-%m-%d}.")
    return _bounded(found, now)


def _bounded(which: date, now: datetime) -> date:
    if not _FIRST_YEAR <= which.year <= now.year + _YEARS_AHEAD:
        raise ConfigurationError(
            f"The calendar goes from {_FIRST_YEAR} to {now.year + _YEARS_AHEAD}: {which} is outside."
        )
    return which


def _midnight(which: date) -> datetime:
    return datetime.combine(which, time(), UTC)
