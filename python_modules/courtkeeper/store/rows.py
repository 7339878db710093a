"""What the store answers with: plain values, as pages and --json show them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from operator import itemgetter
from typing import Any, TypeAlias, TypeVar

import msgspec
from sqlalchemy import Row

from courtkeeper.findings import Status
from courtkeeper.runner.record import RunRecord, RunStatus

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
Struct = TypeVar("Struct", bound=msgspec.Struct)


def row_as(kind: type[Struct], row: AnyRow, **other: object) -> Struct:
    """Return a row as a struct, by the names of its fields; `other` replaces some of its values."""
    names, values = _places(kind, row._fields)
    given = dict(zip(names, values(row), strict=True))
    return kind(**(given | other if other else given))


@cache
def _places(
    kind: type[msgspec.Struct], columns: tuple[str, ...]
) -> tuple[tuple[str, ...], Callable[[AnyRow], tuple[Any, ...]]]:
    """Where a struct's fields are in a row of these columns: a list of thousands asks once."""
    names = tuple(name for name in kind.__struct_fields__ if name in columns)
    return names, itemgetter(*(columns.index(name) for name in names))


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """One run as lists show it: times in UTC, `duration_s` in seconds, counts of hosts and findings.

    `tasks_changed` of a check run is its drift: how many tasks would change something.
    """

    id: int
    run_id: str
    system: str
    job: str
    playbook: str
    check_mode: bool
    trigger: str
    slot: int | None
    attempt: int
    status: str
    worst: str
    changed: bool
    message: str
    started_at: datetime
    finished_at: datetime | None
    duration_s: float | None
    hosts: int
    hosts_bad: int
    tasks: int
    tasks_changed: int
    findings_ok: int
    findings_warn: int
    findings_crit: int
    findings_skipped: int
    findings_unknown: int
    actions: int
    owner: str
    cancel_by: str

    @property
    def verdict(self) -> str:
        """The one word a run comes to: its status if that is not ok, else its worst finding's."""
        return self.worst if self.status == RunStatus.OK else self.status


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did on one host: how many tasks ended how."""

    host: str
    ok: int
    changed: int
    failed: int
    unreachable: int
    skipped: int
    rescued: int
    ignored: int


class ActionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, and how to take it back where that can be."""

    id: int
    run_id: str
    system: str
    job: str
    at: datetime
    host: str
    finding_id: str
    subject: str
    text: str
    undo: str
    undone_at: datetime | None
    undone_by: str


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """All of one run. `record` is None where only the summary is kept, or while it runs."""

    row: RunRow
    hosts: list[HostRow]
    actions: list[ActionRow]
    record: RunRecord | None


class OutputRow(msgspec.Struct, frozen=True):
    """A batch of a run's output: its number, and the lines."""

    seq: int
    text: str


class MetricPoint(msgspec.Struct, frozen=True):
    """A number that a run measured."""

    run_id: str
    at: datetime
    value: float


class FindingPoint(msgspec.Struct, frozen=True):
    """How a run judged one thing; `value` is what it observed, where that is a number."""

    run_id: str
    at: datetime
    status: Status
    value: float | None


class SpanRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was wrong, from `opened_at` to `closed_at` (None: it still is).

    `severity` is its status as last seen, `worst` at its worst; `times` counts the runs that saw it;
    `closed_how` is `ok`, or `gone` where the job does not speak of it any more.
    """

    id: int
    key: int
    system: str
    job: str
    host: str
    finding_id: str
    subject: str
    severity: Status
    worst: Status
    opened_at: datetime
    opened_run: str
    seen_at: datetime
    seen_run: str
    times: int
    closed_at: datetime | None
    closed_run: str
    closed_how: str
    summary: str
    fix: str
    observed: str
    threshold: str
    unit: str


class SlotRow(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence of a job and what became of it; `state` is a SlotState."""

    id: int
    system: str
    job: str
    scheduled_for: datetime
    trigger: str
    state: str
    reason: str
    deadline: datetime | None
    not_before: datetime
    attempt: int
    owner: str
    run_id: str
    started_at: datetime | None
    finished_at: datetime | None
    options: str


class ApprovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word that a slot may begin."""

    system: str
    job: str
    scheduled_for: datetime
    by: str
    at: datetime
    note: str


class HoldRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job (empty: every job of the system) that must not begin, until `until` or until it is released."""

    id: int
    system: str
    job: str
    reason: str
    by: str
    at: datetime
    until: datetime | None


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what."""

    id: int
    at: datetime
    who: str
    what: str
    system: str
    subject: str
    detail: str


class OwnerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A process that runs jobs: a scheduler, or a person's `courtkeeper run`."""

    owner: str
    machine: str
    pid: int
    kind: str
    started_at: datetime
    lease_until: datetime
    ended_at: datetime | None
    ended_how: str
