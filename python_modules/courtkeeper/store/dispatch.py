"""Deciding which waiting slots begin: by one process at a time, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, case, literal, select, update

from courtkeeper.store import owners
from courtkeeper.store.rows import ApprovalRow, HoldRow, SlotRow, row_as
from courtkeeper.store.states import WAITING, SlotState
from courtkeeper.store.tables import approvals, holds, runs, slots


class Dispatch:
    """Waiting slots, and the right to decide about them; what is decided is stored at the end, at once."""

    def __init__(self, connection: Connection, system: str, now: datetime, waiting: list[SlotRow]) -> None:
        """Decide at `now` within the transaction of `connection`."""
        self.waiting = waiting
        self._connection = connection
        self._system = system
        self._now = now
        self._held = owners.held(connection, system) if waiting else {}
        self._holds: list[HoldRow] | None = None
        self._taken: list[dict[str, Any]] = []
        self._claimed: list[dict[str, Any]] = []
        self._noted: list[dict[str, Any]] = []

    def holds(self) -> list[HoldRow]:
        """Return what a person holds back now."""
        if self._holds is None:
            query = select(holds).where(holds.c.system == self._system, holds.c.released_at.is_(None))
            rows = [row_as(HoldRow, row) for row in self._connection.execute(query)]
            self._holds = [row for row in rows if row.until is None or row.until > self._now]
        return self._holds

    def approval(self, slot: SlotRow) -> ApprovalRow | None:
        """Return who approved a slot, or None."""
        query = select(approvals).where(
            approvals.c.system == self._system,
            approvals.c.job == slot.job,
            approvals.c.scheduled_for == slot.scheduled_for,
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else row_as(ApprovalRow, row)

    def last_passed(self, job: str) -> datetime | None:
        """Return when the last run of a job began, if it ended well."""
        return last_passed(self._connection, self._system, job)

    def claim(self, slot: SlotRow, keys: Sequence[str], owner: str, run_id: str) -> str:
        """Make a slot ours, with all its locks; return empty, or which of them is held and by what."""
        for key in keys:
            if key in self._held:
                return f"{key} is held by {self._held[key]}"
        holder = f"{slot.job} ({run_id})"
        self._held |= dict.fromkeys(keys, holder)
        self._taken += owners.rows(self._system, keys, owner, holder, self._now, slot.id)
        self._claimed.append(
            {
                "b_id": slot.id,
                "b_owner": owner,
                "b_run_id": run_id,
                "b_attempt": slot.attempt + 1,
                "b_now": self._now,
            }
        )
        return ""

    def note(self, slot: SlotRow, reason: str) -> None:
        """Say what is in a slot's way, if that is news."""
        if slot.reason != reason:
            self._noted.append({"b_id": slot.id, "b_reason": reason})

    def store(self) -> None:
        """Store what was decided."""
        owners.take_rows(self._connection, self._taken)
        if self._claimed:
            self._connection.execute(_CLAIM, self._claimed)
        if self._noted:
            self._connection.execute(_NOTE, self._noted)


_CLAIM = (
    update(slots)
    .where(slots.c.id == bindparam("b_id"))
    .values(
        state=SlotState.RUNNING,
        reason="",
        owner=bindparam("b_owner"),
        run_id=bindparam("b_run_id"),
        attempt=bindparam("b_attempt"),
        started_at=bindparam("b_now"),
    )
)
_NOTE = update(slots).where(slots.c.id == bindparam("b_id")).values(reason=bindparam("b_reason"))


def waiting(system: str, now: datetime) -> list[ColumnElement[bool]]:
    """Return the conditions of a slot that may begin now, if nothing is in its way."""
    return [
        slots.c.system == system,
        slots.c.finished_at.is_(None),
        slots.c.not_before <= now,
        slots.c.state.in_(WAITING),
    ]


def end_overdue(connection: Connection, system: str, now: datetime) -> None:
    """End what has waited too long, with what was in its way."""
    overdue = [*waiting(system, now), slots.c.deadline < now]
    why = case((slots.c.reason == "", "nobody was there to begin it"), else_=slots.c.reason)
    for state, words, condition in (
        (SlotState.MISSED, "it did not begin in time: ", slots.c.attempt == 0),
        (SlotState.FAILED, "its retry did not begin in time: ", slots.c.attempt > 0),
    ):
        values = {"state": state, "reason": literal(words) + why, "finished_at": now}
        connection.execute(update(slots).where(*overdue, condition).values(values))


def last_passed(connection: Connection, system: str, job: str) -> datetime | None:
    """Return when the last real run of a job began, if it ended well and found nothing critical."""
    query = (
        select(runs.c.started_at, runs.c.status, runs.c.worst)
        .where(runs.c.system == system, runs.c.job == job, runs.c.check_mode.is_(False))
        .where(runs.c.finished_at.is_not(None))
        .order_by(runs.c.started_at.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return row.started_at if row and row.status == "ok" and row.worst != "crit" else None
