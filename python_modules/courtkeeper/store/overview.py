"""What the dashboard asks beyond single lists: which jobs there are, their last runs, days in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    func,
    literal_column,
    select,
    text,
    tuple_,
    type_coerce,
)

from courtkeeper.store.connection import Database
from courtkeeper.store.packing import unpack_text
from courtkeeper.store.paging import at_most
from courtkeeper.store.rows import AnyRow, OutputRow, RunRow, SlotRow, SpanRow, row_as
from courtkeeper.store.spans import SEVERITIES
from courtkeeper.store.states import SlotState
from courtkeeper.store.tables import output, runs, slots, spans

_DAY = timedelta(days=1)
# Written into the statement: as a parameter, Postgres would not see that it groups by what it selects.
_DAY_IN_DATABASE = literal_column(str(_DAY // timedelta(microseconds=1)), BigInteger)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_JOBS = 500
_RUN_COLUMNS = ", ".join(f"runs.{column.name}" for column in runs.c)
_LAST_RUNS = """
WITH wanted (system, job) AS (VALUES {pairs})
SELECT {columns}
FROM wanted
JOIN runs ON runs.id = (
    SELECT each.id
    FROM runs AS each
    WHERE each.system = wanted.system AND each.job = wanted.job
    ORDER BY each.started_at DESC, each.id DESC
    LIMIT 1
)
"""
_MOST_NUMBER = 1 << 63  # what a database can be asked for


class DayCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many slots of a job ended in one state on one day (UTC), and when the first of them was due."""

    day: datetime
    system: str
    job: str
    state: SlotState
    number: int
    first: datetime


class Overview:
    """Questions of pages that show many things at once."""

    def __init__(self, database: Database) -> None:
        """Ask `database`."""
        self._database = database

    def jobs(self) -> list[tuple[str, str]]:
        """Return every (system, job) that has a run, in order; by leaps over the index, not over the runs."""
        found: list[tuple[str, str]] = []
        with self._database.read() as connection:
            while len(found) < _MOST_JOBS:
                query = select(runs.c.system, runs.c.job).order_by(runs.c.system, runs.c.job).limit(1)
                if found:
                    query = query.where(tuple_(runs.c.system, runs.c.job) > tuple_(*found[-1]))
                row = connection.execute(query).one_or_none()
                if row is None:
                    break
                found.append((row.system, row.job))
        return found

    def last_runs(self, jobs: Sequence[tuple[str, str]]) -> list[RunRow]:
        """Return the last run of each of these (system, job) that has one, running or not."""
        if not jobs:
            return []
        wanted = list(jobs[:_MOST_JOBS])
        # As text: to put so many parts of a statement together takes longer than to answer it.
        pairs = ", ".join(f"(:s{number}, :j{number})" for number in range(len(wanted)))
        query = text(_LAST_RUNS.format(columns=_RUN_COLUMNS, pairs=pairs)).columns(*runs.c)
        given = {f"s{number}": system for number, (system, _) in enumerate(wanted)}
        given |= {f"j{number}": job for number, (_, job) in enumerate(wanted)}
        with self._database.read() as connection:
            return [row_as(RunRow, row) for row in connection.execute(query, given)]

    def runs_by_hand(self, start: datetime, end: datetime, *, limit: int = 100) -> list[RunRow]:
        """Return the runs begun from `start` to before `end` that came of no slot, in order."""
        query = (
            select(runs)
            .where(runs.c.started_at >= start, runs.c.started_at < end, runs.c.slot.is_(None))
            .order_by(runs.c.started_at, runs.c.id)
            .limit(at_most(limit))
        )
        return [row_as(RunRow, row) for row in self._all(query)]

    def slot_days(self, start: datetime, end: datetime, *, system: str | None = None) -> list[DayCount]:
        """Return the slots from `start` to before `end`, counted by day, job and state."""
        number = type_coerce(slots.c.scheduled_for, BigInteger)
        day = number.op("/", return_type=BigInteger())(_DAY_IN_DATABASE).label("day")
        query = select(
            day,
            slots.c.system,
            slots.c.job,
            slots.c.state,
            func.count().label("number"),
            func.min(slots.c.scheduled_for).label("first"),
        ).where(slots.c.scheduled_for >= start, slots.c.scheduled_for < end)
        query = query.where(*_given(slots.c.system == system, system))
        query = query.group_by(day, slots.c.system, slots.c.job, slots.c.state)
        return [
            DayCount(
                day=_EPOCH + _DAY * row.day,
                system=row.system,
                job=row.job,
                state=SlotState(row.state),
                number=row.number,
                first=row.first,
            )
            for row in self._all(query)
        ]

    def slots_in(
        self, states: Sequence[SlotState], start: datetime, end: datetime, *, limit: int = 50
    ) -> list[SlotRow]:
        """Return the slots in one of `states` from `start` to before `end`, the latest first."""
        query = (
            select(slots)
            .where(slots.c.state.in_(states))
            .where(slots.c.scheduled_for >= start, slots.c.scheduled_for < end)
            .order_by(slots.c.scheduled_for.desc(), slots.c.id.desc())
            .limit(at_most(limit))
        )
        return [row_as(SlotRow, row) for row in self._all(query)]

    def slots_of_job(self, system: str, job: str, *, limit: int = 20) -> list[SlotRow]:
        """Return the last slots of a job, the latest first."""
        query = (
            select(slots)
            .where(slots.c.system == system, slots.c.job == job)
            .order_by(slots.c.scheduled_for.desc())
            .limit(at_most(limit))
        )
        return [row_as(SlotRow, row) for row in self._all(query)]

    def slot(self, number: int) -> SlotRow | None:
        """Return one slot, or None."""
        found = self._all(select(slots).where(slots.c.id == number))
        return row_as(SlotRow, found[0]) if found else None

    def span(self, number: int) -> SpanRow | None:
        """Return one finding over time by its number, or None."""
        found = self._all(select(spans).where(spans.c.id == number)) if number < _MOST_NUMBER else []
        return _span(found[0]) if found else None

    def spans_of_key(self, key: int, *, limit: int = 50) -> list[SpanRow]:
        """Return every time that one thing (`SpanRow.key`) was wrong, the latest first."""
        query = select(spans).where(spans.c.key == key).order_by(spans.c.opened_at.desc())
        return [_span(row) for row in self._all(query.limit(at_most(limit)))]

    def output_tail(self, run_id: str, *, most: int = 40) -> list[OutputRow]:
        """Return the last batches of a run's output, at most `most`, in order."""
        query = (
            select(output.c.seq, output.c.data)
            .join(runs, runs.c.id == output.c.run)
            .where(runs.c.run_id == run_id)
            .order_by(output.c.seq.desc())
            .limit(most)
        )
        return [OutputRow(row.seq, unpack_text(row.data)) for row in reversed(self._all(query))]

    def _all(self, query: Select[Any]) -> Sequence[AnyRow]:
        with self._database.read() as connection:
            return connection.execute(query).all()


def _given(condition: ColumnElement[bool], value: object) -> list[ColumnElement[bool]]:
    return [] if value is None else [condition]


def _span(row: AnyRow) -> SpanRow:
    return row_as(SpanRow, row, severity=SEVERITIES[row.severity], worst=SEVERITIES[row.worst])
