"""Runs: the list, and all of one run, by the same parts as its static report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from courtkeeper import undo
from courtkeeper.findings import ConfigurationError
from courtkeeper.report import page as report
from courtkeeper.runner.record import RunStatus
from courtkeeper.store.rows import ActionRow, RunPage
from courtkeeper.web.render import log_text
from courtkeeper.web.site import Site
from courtkeeper.web.undoing import Attempt
from courtkeeper.web.words import of_run

_SIZE = 50
_TAIL_LINES = 500


@dataclass(frozen=True, slots=True)
class Undoable:
    """What was done with its way back, if it is still to go; `kept`: this dashboard keeps its system."""

    action: ActionRow
    way: undo.Way | None
    attempt: Attempt | None
    kept: bool

    @property
    def offered(self) -> bool:
        """Whether it can be gone from the dashboard."""
        return self.kept and self.way is not None and bool(self.way.argv)


def listed(site: Site, given: dict[str, str]) -> dict[str, Any]:
    """Return the view of the list. `given`: system, job, status and after, each empty for any."""
    status = _status(given["status"])
    found = site.store.queries.latest_runs(
        system=given["system"] or None,
        job=given["job"] or None,
        status=status,
        limit=_SIZE,
        after=given["after"],
    )
    jobs = site.jobs()
    return {
        "now": site.clock(),
        "runs": found.rows,
        "next": found.next,
        "given": given,
        "systems": sorted({system for system, _ in jobs}),
        "jobs": sorted({job for _, job in jobs}),
        "statuses": [str(each) for each in RunStatus],
    }


def one(site: Site, run_id: str) -> dict[str, Any] | None:
    """Return the view of one run; None where there is none."""
    found = site.store.queries.run_page(run_id)
    if found is None:
        return None
    row = found.row
    seq, log, cut = tail(site, run_id)
    return {
        "now": site.clock(),
        "run": row,
        "badge": of_run(row),
        "hosts": found.hosts,
        "undoable": _undoable(site, found),
        "page": report.build(found.record) if found.record is not None else None,
        "log": log,
        "log_cut": cut,
        "log_seq": seq,
        "live": row.status == RunStatus.RUNNING,
        "findings": _counts(found),
    }


def undo_page(site: Site, run_id: str, number: int) -> dict[str, Any] | None:
    """Return the view of one thing to take back, before it is; None where there is none."""
    found = site.store.queries.run_page(run_id)
    if found is None:
        return None
    ways = undo.ways_back(found.actions)
    way = next((each for each in ways if each.number == number), None)
    if way is None:
        return None
    later = ways[: ways.index(way)]
    kept = found.row.system in site.calendars.systems
    return {"now": site.clock(), "run": found.row, "way": way, "later": later, "kept": kept}


def undo_state(site: Site, run_id: str, number: int) -> Undoable | None:
    """Return how it stands with one thing that can be taken back; None where there is none."""
    found = site.store.queries.run_page(run_id)
    known = _undoable(site, found) if found else []
    return next((each for each in known if each.action.id == number), None)


def _undoable(site: Site, found: RunPage) -> list[Undoable]:
    """Return what can be taken back and what was, the last thing done first: that is the order to undo it."""
    ways = {way.number: way for way in undo.ways_back(found.actions)}
    kept = found.row.system in site.calendars.systems
    return [
        Undoable(action, ways.get(action.id), site.undoing.attempt(action.id), kept)
        for action in reversed(found.actions)
        if action.undo
    ]


def tail(site: Site, run_id: str) -> tuple[int, str, bool]:
    """Return the number of the last batch of a run's output, its last lines, and whether there are more."""
    batches = site.store.overview.output_tail(run_id)
    lines = "".join(batch.text for batch in batches).splitlines(keepends=True)
    cut = len(lines) > _TAIL_LINES or bool(batches and batches[0].seq > 0)
    shown = log_text("".join(lines[-_TAIL_LINES:]))
    return (batches[-1].seq if batches else -1), shown, cut


def _counts(found: RunPage) -> list[tuple[str, int]]:
    row = found.row
    counts = (
        ("critical", row.findings_crit),
        ("warning", row.findings_warn),
        ("unknown", row.findings_unknown),
        ("skipped", row.findings_skipped),
        ("ok", row.findings_ok),
    )
    return [(word, number) for word, number in counts if number]


def _status(word: str) -> RunStatus | None:
    if not word:
        return None
    try:
        return RunStatus(word)
    except ValueError:
        raise ConfigurationError(
            f"{word[:20]!r} is no status of a run: say one of {', '.join(RunStatus)}."
        ) from None
