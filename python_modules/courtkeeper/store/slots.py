"""The occurrences of jobs, and what becomes of each: claimed once, run once, or missed with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, case, delete, func, literal, select, update

from courtkeeper.store import owners
from courtkeeper.store.connection import Database
from courtkeeper.store.paging import at_most
from courtkeeper.store.rows import ApprovalRow, HoldRow, SlotRow, row_as
from courtkeeper.store.states import WAITING, SlotState
from courtkeeper.store.tables import approvals, cursors, holds, runs, slots

# What begins within a minute is not late: a scheduler looks once a second, and two must agree.
ON_TIME = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """One occurrence of a job: when, until when it may begin, and if it is missed already, why."""

    at: datetime
    deadline: datetime | None = None
    missed: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt. `retry_at`: when the next one may begin, with `options`, by `deadline`."""

    state: SlotState
    reason: str = ""
    at: datetime
    retry_at: datetime | None = None
    deadline: datetime | None = None
    options: Mapping[str, Any] | None = None


class Slots:
    """Slots, and how far they have been made."""

    def __init__(self, database: Database) -> None:
        """Keep them in `database`."""
        self._database = database

    # Making them

    def cursors(self, system: str) -> dict[str, tuple[str, datetime]]:
        """Return, by job, the rule by which its occurrences were made into slots, and until when."""
        query = select(cursors.c.job, cursors.c.rule, cursors.c.until).where(cursors.c.system == system)
        with self._database.read() as connection:
            return {job: (rule, until) for job, rule, until in connection.execute(query)}

    def start_job(self, system: str, job: str, rule: str, at: datetime) -> None:
        """Make slots of a job from `at` on: it is new, or has a new rule."""
        row = {"system": system, "job": job, "rule": rule, "until": at}
        insert = self._database.insert(cursors).values(row)
        key = [cursors.c.system, cursors.c.job]
        # Whoever else starts the same rule meanwhile is right as well; an old rule gives way.
        changed = cursors.c.rule != insert.excluded.rule
        values = {"rule": rule, "until": at}
        with self._database.write() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=key, set_=values, where=changed))

    def forget_jobs(self, system: str, keep: Sequence[str]) -> None:
        """Make no more slots of other jobs: they are gone from the calendar, or do not run by themselves."""
        gone = (cursors.c.system == system) & cursors.c.job.not_in(keep)
        with self._database.write() as connection:
            connection.execute(delete(cursors).where(gone))

    def make(
        self,
        system: str,
        job: str,
        occurrences: Sequence[Occurrence],
        *,
        until: datetime,
        now: datetime,
        only_latest: bool,
    ) -> None:
        """Make slots, each once however many schedulers do so, and move the job's cursor on to `until`.

        `only_latest`: of those that have not begun only the latest may, the others are missed.
        """
        rows = [
            {
                "system": system,
                "job": job,
                "scheduled_for": each.at,
                "trigger": "schedule",
                "state": SlotState.MISSED if each.missed else SlotState.WAITING,
                "reason": each.missed,
                "deadline": each.deadline,
                "not_before": each.at,
                "finished_at": now if each.missed else None,
            }
            for each in occurrences
        ]
        with self._database.write() as connection:
            if rows:
                connection.execute(self._database.insert(slots).on_conflict_do_nothing(), rows)
            due = [each.at for each in occurrences if not each.missed]
            if only_latest and due:
                _supersede(connection, system, job, max(due), now)
            mine = (cursors.c.system == system) & (cursors.c.job == job) & (cursors.c.until < until)
            connection.execute(update(cursors).where(mine).values(until=until))

    def rewind(self, system: str, now: datetime) -> int:
        """Forget what was made of a time that has not come: the clock was wrong and went back.

        What has run then stays, so that it does not run again. Returns how many slots were forgotten.
        """
        ahead = slots.c.scheduled_for > now
        unreal = (slots.c.state == SlotState.MISSED) & (slots.c.attempt == 0) & ahead
        mine = (cursors.c.system == system) & (cursors.c.until > now)
        with self._database.write() as connection:
            count = connection.execute(delete(slots).where(slots.c.system == system, unreal)).rowcount
            connection.execute(update(cursors).where(mine).values(until=now))
            return count

    def request(
        self,
        system: str,
        job: str,
        at: datetime,
        *,
        by: str,
        deadline: datetime | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> int | None:
        """Ask the system's scheduler for a run; return the slot, or None if there is one at `at`."""
        row = {
            "system": system,
            "job": job,
            "scheduled_for": at,
            "trigger": "request",
            "state": SlotState.WAITING,
            "reason": f"asked for by {by}",
            "deadline": deadline,
            "not_before": at,
            "options": _json({"by": by, **(options or {})}),
        }
        with self._database.write() as connection:
            insert = self._database.insert(slots).values(row).on_conflict_do_nothing()
            return connection.execute(insert.returning(slots.c.id)).scalar_one_or_none()

    # Deciding

    def any_waiting(self, system: str, now: datetime) -> bool:
        """Whether a slot may begin now or has waited too long."""
        query = select(slots.c.id).where(*_waiting(system, now)).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    @contextmanager
    def dispatching(self, system: str, now: datetime, most: int) -> Iterator[Dispatch]:
        """Yield each job's oldest waiting slot, at most `most`, while nobody else decides anything.

        Before that, those that have waited too long are ended, and the late ones are called so.
        """
        number = func.row_number().over(
            partition_by=slots.c.job, order_by=[slots.c.scheduled_for, slots.c.id]
        )
        ranked = select(slots.c.id, number.label("number")).where(*_waiting(system, now)).subquery()
        query = (
            select(slots)
            .join(ranked, ranked.c.id == slots.c.id)
            .where(ranked.c.number == 1)
            .order_by(slots.c.scheduled_for, slots.c.id)
            .limit(most)
        )
        with self._database.alone() as connection:
            _end_overdue(connection, system, now)
            connection.execute(
                update(slots)
                .where(*_waiting(system, now), slots.c.state == SlotState.WAITING)
                .where(slots.c.scheduled_for < now - ON_TIME)
                .values(state=SlotState.LATE)
            )
            yield Dispatch(
                connection, system, now, [row_as(SlotRow, row) for row in connection.execute(query)]
            )

    def settle(self, slot: int, run_id: str, outcome: Outcome) -> bool:
        """Store what came of a slot's attempt; False where the slot has gone on without it."""
        with self._database.write() as connection:
            return settle(connection, slot, run_id, outcome)

    def of_owner(self, owner: str) -> list[SlotRow]:
        """Return the slots that an owner runs."""
        query = select(slots).where(slots.c.owner == owner, slots.c.state == SlotState.RUNNING)
        with self._database.read() as connection:
            return [row_as(SlotRow, row) for row in connection.execute(query)]

    # Asking

    def between(
        self, start: datetime, end: datetime, *, system: str | None = None, limit: int = 5000
    ) -> list[SlotRow]:
        """Return the slots from `start` to before `end`, in order, at most `limit`: a calendar's range."""
        query = select(slots).where(slots.c.scheduled_for >= start, slots.c.scheduled_for < end)
        if system is not None:
            query = query.where(slots.c.system == system)
        query = query.order_by(slots.c.scheduled_for, slots.c.job).limit(limit)
        return self._rows(query)

    def open(self, *, system: str | None = None, limit: int = 500) -> list[SlotRow]:
        """Return the slots that are not at their end, the oldest first."""
        query = select(slots).where(slots.c.finished_at.is_(None))
        if system is not None:
            query = query.where(slots.c.system == system)
        return self._rows(query.order_by(slots.c.scheduled_for, slots.c.id).limit(at_most(limit)))

    def last_passed(self, system: str, job: str) -> datetime | None:
        """Return when the last run of a job began, if it ended well; None if it did not, or there is none."""
        with self._database.read() as connection:
            return last_passed(connection, system, job)

    def _rows(self, query: Select[Any]) -> list[SlotRow]:
        with self._database.read() as connection:
            return [row_as(SlotRow, row) for row in connection.execute(query)]


class Dispatch:
    """Waiting slots, and the right to decide about them."""

    def __init__(self, connection: Connection, system: str, now: datetime, waiting: list[SlotRow]) -> None:
        """Decide at `now` within the transaction of `connection`."""
        self.connection = connection
        self.waiting = waiting
        self._system = system
        self._now = now

    def holds(self) -> list[HoldRow]:
        """Return what a person holds back now."""
        query = select(holds).where(holds.c.system == self._system, holds.c.released_at.is_(None))
        rows = [row_as(HoldRow, row) for row in self.connection.execute(query)]
        return [row for row in rows if row.until is None or row.until > self._now]

    def approval(self, slot: SlotRow) -> ApprovalRow | None:
        """Return who approved a slot, or None."""
        query = select(approvals).where(
            approvals.c.system == self._system,
            approvals.c.job == slot.job,
            approvals.c.scheduled_for == slot.scheduled_for,
        )
        row = self.connection.execute(query).one_or_none()
        return None if row is None else row_as(ApprovalRow, row)

    def last_passed(self, job: str) -> datetime | None:
        """Return when the last run of a job began, if it ended well."""
        return last_passed(self.connection, self._system, job)

    def claim(self, slot: SlotRow, keys: Sequence[str], owner: str, run_id: str) -> str:
        """Make a slot ours, with all its locks; return empty, or what is in its way."""
        holder = f"{slot.job} ({run_id})"
        if held := owners.take(self.connection, self._system, keys, owner, holder, self._now, slot.id):
            return held
        mine = update(slots).where(slots.c.id == slot.id, slots.c.state.in_(WAITING))
        values = {
            "state": SlotState.RUNNING,
            "owner": owner,
            "run_id": run_id,
            "attempt": slot.attempt + 1,
            "started_at": self._now,
            "reason": "",
        }
        if not self.connection.execute(mine.values(values)).rowcount:
            owners.free(self.connection, [slot.id])
            return "another scheduler has it"
        return ""

    def note(self, slot: SlotRow, state: SlotState, reason: str) -> None:
        """Say where a slot stands, if that is news."""
        if (slot.state, slot.reason) == (state, reason):
            return
        values: dict[str, Any] = {"state": state, "reason": reason}
        if state.finished:
            values["finished_at"] = self._now
        self.connection.execute(update(slots).where(slots.c.id == slot.id).values(values))


def _waiting(system: str, now: datetime) -> list[ColumnElement[bool]]:
    return [
        slots.c.system == system,
        slots.c.finished_at.is_(None),
        slots.c.not_before <= now,
        slots.c.state.in_(WAITING),
    ]


def _supersede(connection: Connection, system: str, job: str, by: datetime, now: datetime) -> None:
    older = update(slots).where(
        slots.c.system == system,
        slots.c.job == job,
        slots.c.scheduled_for < by,
        slots.c.trigger == "schedule",
        slots.c.attempt == 0,
        slots.c.finished_at.is_(None),
        slots.c.state.in_([SlotState.WAITING, SlotState.LATE]),
    )
    reason = f"the slot of {by:%Y-%m-%d %H:%M} UTC took its place"
    connection.execute(older.values(state=SlotState.MISSED, reason=reason, finished_at=now))


def _end_overdue(connection: Connection, system: str, now: datetime) -> None:
    overdue = [*_waiting(system, now), slots.c.deadline < now]
    why = case((slots.c.reason == "", "nobody was there to begin it"), else_=slots.c.reason)
    for state, words, condition in (
        (SlotState.MISSED, "it did not begin in time: ", slots.c.attempt == 0),
        (SlotState.FAILED, "its retry did not begin in time: ", slots.c.attempt > 0),
    ):
        values = {"state": state, "reason": literal(words) + why, "finished_at": now}
        connection.execute(update(slots).where(*overdue, condition).values(values))


def settle(connection: Connection, slot: int, run_id: str, outcome: Outcome) -> bool:
    """Store what came of an attempt and free its locks; within a transaction of the caller's."""
    # What was given up for lost is put right by whoever ran it after all.
    mine = update(slots).where(
        slots.c.id == slot,
        slots.c.run_id == run_id,
        slots.c.state.in_([SlotState.RUNNING, SlotState.LOST]),
    )
    values: dict[str, Any] = {"state": outcome.state, "reason": outcome.reason}
    if outcome.retry_at is None:
        values["finished_at"] = outcome.at
    else:
        values |= {"state": SlotState.RETRYING, "not_before": outcome.retry_at, "finished_at": None}
        values["deadline"] = outcome.deadline
    if outcome.options is not None:
        values["options"] = _json(outcome.options)
    done = connection.execute(mine.values(values)).rowcount > 0
    if done:
        owners.free(connection, [slot])
    return done


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


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(value)).decode()
