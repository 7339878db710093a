"""How long each step took: the job's own steps, and the Ansible tasks around them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from courtkeeper.report import charts, text
from courtkeeper.runner.record import RunRecord, TaskRecord

TASKS_AT_MOST = 40
STEPS_AT_MOST = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the chart: a name, where it ran, how it ended, and its share of the longest."""

    name: str
    note: str
    status: str
    shown: str
    bar: Markup


@dataclass(frozen=True, slots=True)
class TimingView:
    """Both groups of bars, drawn to one scale."""

    steps: tuple[Bar, ...]
    tasks: tuple[Bar, ...]
    tasks_left_out: str
    sum_up: str

    @property
    def any(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.steps or self.tasks)


class _Step(msgspec.Struct):
    name: str
    duration_s: float


def build(record: RunRecord) -> TimingView:
    """Return the bars of a run: steps in their order, of the tasks the slowest in their order."""
    steps = _steps(record.details)
    kept = _kept(record.tasks)
    longest = max([s.duration_s for s in steps] + [_seconds(t.duration_s) for t in kept], default=0.0)
    # What is the same for all tasks is noise on every row.
    many_hosts = len({t.host for t in record.tasks}) > 1
    many_roles = len({t.role for t in record.tasks}) > 1
    return TimingView(
        steps=tuple(_bar(s.name.replace("_", " "), "", "", s.duration_s, longest, "step") for s in steps),
        tasks=tuple(
            _bar(
                t.name,
                " · ".join(p for p in (t.role if many_roles else "", t.host if many_hosts else "") if p),
                t.status,
                t.duration_s,
                longest,
                _kind(t.status),
            )
            for t in kept
        ),
        tasks_left_out=_left_out(record.tasks, kept),
        sum_up=_sum_up(record, steps),
    )


def _steps(details: Mapping[str, Any]) -> list[_Step]:
    try:
        steps = msgspec.convert(details.get("steps", []), list[_Step], strict=False)
    except (msgspec.ValidationError, TypeError):  # foreign data: the tasks still tell the times
        return []
    return [s for s in steps if math.isfinite(s.duration_s) and s.duration_s >= 0][:STEPS_AT_MOST]


def _seconds(value: float) -> float:
    return value if math.isfinite(value) and value > 0 else 0.0


def _kept(tasks: Sequence[TaskRecord]) -> list[TaskRecord]:
    """Keep every task that failed, and of the others that ran the slowest, all in their order."""
    ran = [t for t in tasks if t.status != "skipped"]
    ranked = sorted(ran, key=lambda t: (t.status not in {"failed", "unreachable"}, -_seconds(t.duration_s)))
    kept = {id(t) for t in ranked[:TASKS_AT_MOST]}
    return [t for t in ran if id(t) in kept]


def _left_out(tasks: Sequence[TaskRecord], kept: Sequence[TaskRecord]) -> str:
    skipped = sum(t.status == "skipped" for t in tasks)
    quick = len(tasks) - skipped - len(kept)
    parts = []
    if skipped:
        parts.append(f"{text.plural(skipped, 'skipped task')}")
    if quick:
        parts.append(f"{text.plural(quick, 'quicker task')}")
    return f"Not drawn: {text.joined(parts)}." if parts else ""


def _kind(status: str) -> str:
    return status if status in {"ok", "changed", "failed", "unreachable"} else "other"


def _bar(name: str, note: str, status: str, seconds: float, longest: float, kind: str) -> Bar:
    share = _seconds(seconds) / longest if longest else 0.0
    return Bar(name, note, status, text.duration(seconds), charts.share_bar(share, kind))


def _sum_up(record: RunRecord, steps: Sequence[_Step]) -> str:
    inside = sum(s.duration_s for s in steps)
    if not steps or record.duration_s <= 0 or inside > record.duration_s:
        return ""
    around = text.duration(record.duration_s - inside)
    return f"The job's own steps took {text.duration(inside)}; Ansible and everything around them {around}."
