"""A word and a shape for every state, and times as the dashboard shows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from courtkeeper.findings import Status
from courtkeeper.report import text
from courtkeeper.report.verdict import STATUS_WORDS
from courtkeeper.runner.record import RunStatus
from courtkeeper.store.rows import RunRow
from courtkeeper.store.states import SlotState


class Badge(NamedTuple):
    """`shape` names the icon and the colour: a Status, `running` or `waiting`; `word` says it."""

    shape: str
    word: str


_SLOTS: dict[str, Badge] = {
    SlotState.WAITING: Badge("waiting", "Waiting"),
    SlotState.LATE: Badge("warn", "Late"),
    SlotState.RETRYING: Badge("warn", "Will be retried"),
    SlotState.RUNNING: Badge("running", "Running"),
    SlotState.OK: Badge("ok", "OK"),
    SlotState.FAILED: Badge("crit", "Failed"),
    SlotState.CANCELLED: Badge("skipped", "Cancelled"),
    SlotState.MISSED: Badge("warn", "Missed"),
    SlotState.LOST: Badge("crit", "Lost"),
}
PLANNED = Badge("waiting", "Planned")
_RUNS = {
    RunStatus.RUNNING: Badge("running", "Running"),
    RunStatus.FAILED: Badge("crit", "Failed"),
    RunStatus.CANCELLED: Badge("skipped", "Cancelled"),
    RunStatus.TIMEOUT: Badge("crit", "Timed out"),
    RunStatus.REFUSED: Badge("crit", "Refused"),
}
# The worst first, when a day's slots of one job are counted together.
_ORDER = (
    SlotState.FAILED, SlotState.LOST, SlotState.MISSED, SlotState.LATE, SlotState.RETRYING,
    SlotState.RUNNING, SlotState.WAITING, SlotState.CANCELLED, SlotState.OK,
)  # fmt: skip


def of_slot(state: str) -> Badge:
    """Return the badge of a slot's state."""
    return _SLOTS.get(state) or Badge("unknown", state)


def of_run(run: RunRow) -> Badge:
    """Return the badge of a run: how it ended, and if it ended well, its worst finding."""
    if run.status in _RUNS:
        return _RUNS[RunStatus(run.status)]
    return of_status(Status(run.worst)) if run.worst in set(Status) else Badge("ok", "OK")


def of_status(status: Status) -> Badge:
    """Return the badge of a finding's status."""
    return Badge(str(status), STATUS_WORDS[status])


def worst_first(states: dict[SlotState, int]) -> list[tuple[SlotState, int]]:
    """Return the counts of states, the worst state first."""
    return [(state, states[state]) for state in _ORDER if states.get(state)]


def clock(moment: datetime | None) -> str:
    """Return `Thu 12 Feb 2026, 06:00 UTC`; empty for None."""
    if moment is None:
        return ""
    utc = moment.astimezone(UTC)
    return f"{text.day(utc)}, {utc:%H:%M} UTC"


def iso(moment: datetime) -> str:
    """Return what a <time> element holds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(moment: datetime) -> str:
    """Return an instant to the microsecond, as forms send it back."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ago(moment: datetime, now: datetime) -> str:
    """Return `3 min ago`, `in 2 h`, `5 days ago`."""
    away = now - moment
    said = span(abs(away))
    if said == "now":
        return "now"
    return f"{said} ago" if away >= timedelta(0) else f"in {said}"


def came_to(run: RunRow) -> str:
    """Return what a run came to in a few words, for a list."""
    counts = (
        (run.findings_crit, "critical", "critical"),
        (run.findings_warn, "warning", "warnings"),
        (run.findings_unknown, "unknown", "unknown"),
        (0, "", "") if run.check_mode else (run.actions, "action", "actions"),
        (run.tasks_changed if run.check_mode else 0, "task would change", "tasks would change"),
    )
    said = [text.plural(number, one, many) for number, one, many in counts if number]
    if said or run.finished_at is None:
        return ", ".join(said)
    return "Nothing would change" if run.check_mode else "Nothing to do"


def span(length: timedelta) -> str:
    """Return a length of time roughly: `now`, `40 s`, `3 min`, `2 h`, `5 days`."""
    seconds = round(length.total_seconds())
    if seconds < 1:
        return "now"
    for unit, size, until in (("s", 1, 60), ("min", 60, 7200), ("h", 3600, 48 * 3600)):
        if seconds < until:
            return f"{seconds // size}\N{NO-BREAK SPACE}{unit}"
    return f"{seconds // 86400} days"
