"""The occurrences of jobs, and what becomes of each: claimed once, run once, or missed with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    Connection,
    Select,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from courtkeeper.store import owners
from courtkeeper.store.connection import Database
from courtkeeper.store.dispatch import Dispatch, end_overdue, last_passed, waiting
from courtkeeper.store.paging import at_most
from courtkeeper.store.rows import SlotRow, row_as
from courtkeeper.store.states import SlotState
from courtkeeper.store.tables import cursors, slots

# What begins within a minute is not late: a scheduler looks once a second, and two must agree.
ON_TIME = timedelta(minutes=1)
_REQUESTED = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """One occurrence of a job: when, until when it may begin, and if it is missed already, why."""

    at: datetime
    deadline: datetime | None = None
    missed: str = ""


@dataclass(frozen=True, kw_only=True)
class Made:
    """The occurrences of a job up to `until`; `only_latest`: of those not begun only the latest may begin."""

    job: str
    occurrences: Sequence[Occurrence]
    until: datetime
    only_latest: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of an attempt. `retry_at`: when the next one may begin, with `options`, by `deadline`."""

    state: SlotState
    reason: str = ""
    at: datetime
    retry_at: datetime | None = None
    deadline: datetime | None = None
    options: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Ended:
    """An attempt that ended: of which slot, as which run, and what came of it."""

    slot: int
    run_id: str
    outcome: Outcome


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

    def make(self, system: str, made: Sequence[Made], now: datetime) -> None:
        """Make slots, each once however many schedulers do so, and move the jobs' cursors on."""
        rows = [
            {
                "system": system,
                "job": each.job,
                "scheduled_for": occurrence.at,
                "trigger": "schedule",
                "state": SlotState.MISSED if occurrence.missed else SlotState.WAITING,
                "reason": occurrence.missed,
                "deadline": occurrence.deadline,
                "not_before": occurrence.at,
                "finished_at": now if occurrence.missed else None,
            }
            for each in made
            for occurrence in each.occurrences
        ]
        moved = [{"b_job": each.job, "b_until": each.until} for each in made]
        with self._database.write() as connection:
            if rows:
                connection.execute(self._database.insert(slots).on_conflict_do_nothing(), rows)
            for each in made:
                due = [occurrence.at for occurrence in each.occurrences if not occurrence.missed]
                if each.only_latest and due:
                    _supersede(connection, system, each.job, max(due), now)
            if moved:
                behind = (cursors.c.job == bindparam("b_job")) & (cursors.c.until < bindparam("b_until"))
                moving = update(cursors).where(cursors.c.system == system, behind)
                connection.execute(moving.values(until=bindparam("b_until")), moved)

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
        """Ask the system's scheduler for a run; return the slot, or None if there is one at `at`.

        It may begin until `deadline`, within a day if none is said.
        """
        row = {
            "system": system,
            "job": job,
            "scheduled_for": at,
            "trigger": "request",
            "state": SlotState.WAITING,
            "reason": f"asked for by {by}",
            "deadline": deadline or at + _REQUESTED,
            "not_before": at,
            "options": _json({"by": by, **(options or {})}),
        }
        with self._database.write() as connection:
            insert = self._database.insert(slots).values(row).on_conflict_do_nothing()
            return connection.execute(insert.returning(slots.c.id)).scalar_one_or_none()

    # Deciding

    def any_waiting(self, system: str, now: datetime) -> bool:
        """Whether a slot may begin now or has waited too long."""
        query = select(slots.c.id).where(*waiting(system, now)).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def sweep(self, system: str, now: datetime) -> None:
        """End what has waited too long, and call late what is."""
        with self._database.write() as connection:
            end_overdue(connection, system, now)
            connection.execute(
                update(slots)
                .where(*waiting(system, now), slots.c.state == SlotState.WAITING)
                .where(slots.c.scheduled_for < now - ON_TIME)
                .values(state=SlotState.LATE)
            )

    @contextmanager
    def dispatching(self, system: str, now: datetime, most: int) -> Iterator[Dispatch]:
        """Yield each job's oldest waiting slot, at most `most`, while nobody else decides anything.

        What a person asked for does not stand behind what waits for a window or for approval.
        """
        number = func.row_number().over(
            partition_by=[slots.c.job, slots.c.trigger], order_by=[slots.c.scheduled_for, slots.c.id]
        )
        ranked = select(slots.c.id, number.label("number")).where(*waiting(system, now)).subquery()
        query = (
            select(slots)
            .join(ranked, ranked.c.id == slots.c.id)
            .where(ranked.c.number == 1)
            .order_by(slots.c.scheduled_for, slots.c.id)
            .limit(most)
            .with_for_update(of=slots)
        )
        with self._database.alone() as connection:
            found = [row_as(SlotRow, row) for row in connection.execute(query)]
            dispatch = Dispatch(connection, system, now, found)
            yield dispatch
            dispatch.store()

    def settle(self, owner: str, ended: Sequence[Ended]) -> None:
        """Store what came of attempts and free their locks; a slot that has gone on without one stays."""
        with self._database.write() as connection:
            settle(connection, owner, ended)

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


def settle(connection: Connection, owner: str, ended: Sequence[Ended]) -> None:
    """Store what came of attempts and free their locks; within a transaction of the caller's."""
    for again in (False, True):
        chosen = [each for each in ended if (each.outcome.retry_at is not None) is again]
        names = ("state", "reason", "finished_at", *(("not_before", "deadline", "options") if again else ()))
        values: dict[str, Any] = {name: bindparam(f"b_{name}") for name in names}
        if chosen:
            connection.execute(_THAT_ATTEMPT.values(values), [_values(each) for each in chosen])
    owners.free(connection, owner, [each.slot for each in ended])


# What was given up for lost is put right by whoever ran it after all.
_THAT_ATTEMPT = update(slots).where(
    slots.c.id == bindparam("b_slot"),
    slots.c.run_id == bindparam("b_run_id"),
    # no IN: that one statement cannot be sent for many
    or_(slots.c.state == SlotState.RUNNING, slots.c.state == SlotState.LOST),
)


def _values(ended: Ended) -> dict[str, Any]:
    outcome = ended.outcome
    given: dict[str, Any] = {"slot": ended.slot, "run_id": ended.run_id, "reason": outcome.reason}
    if outcome.retry_at is None:
        given |= {"state": outcome.state, "finished_at": outcome.at}
    else:
        given |= {
            "state": SlotState.RETRYING,
            "finished_at": None,
            "not_before": outcome.retry_at,
            "deadline": outcome.deadline,
            "options": _json(outcome.options or {}),
        }
    return {f"b_{name}": value for name, value in given.items()}


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(dict(value)).decode()
