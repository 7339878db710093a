"""What pages ask of the store. Each question has an index; lists go on by key and not by counting rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, func, or_, select, tuple_

from courtkeeper.findings import ConfigurationError, Status
from courtkeeper.runner.record import RunRecord, RunStatus
from courtkeeper.store.connection import Database
from courtkeeper.store.packing import unpack_record, unpack_text
from courtkeeper.store.paging import Page, at_most, moment, paged, place, token
from courtkeeper.store.rows import (
    ActionRow,
    AnyRow,
    FindingPoint,
    HostRow,
    MetricPoint,
    OutputRow,
    RunPage,
    RunRow,
    SpanRow,
    row_as,
)
from courtkeeper.store.spans import SEVERITIES
from courtkeeper.store.tables import (
    Moment,
    actions,
    documents,
    metrics,
    observations,
    output,
    run_hosts,
    runs,
    spans,
)


class Queries:
    """Questions about runs and findings."""

    def __init__(self, database: Database) -> None:
        """Ask `database`."""
        self._database = database

    # Runs

    def latest_runs(
        self,
        *,
        system: str | None = None,
        job: str | None = None,
        status: RunStatus | None = None,
        limit: int = 50,
        after: str = "",
    ) -> Page[RunRow]:
        """Return runs, the latest first; `after` is the `next` of the page before."""
        size = at_most(limit)
        query = select(runs).where(*_given(runs.c.system == system, system), *_given(runs.c.job == job, job))
        query = query.where(*_given(runs.c.status == status, status))
        if at := place(after, 2):
            query = query.where(
                tuple_(runs.c.started_at, runs.c.id) < tuple_(moment(at[0]), at[1], types=_TIME_AND_ID)
            )
        query = query.order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(size + 1)
        return paged(self._all(query), size, _run, lambda row: token(row.started_at, row.id))

    def run(self, run_id: str) -> RunRow | None:
        """Return one run by its whole id, or None."""
        found = self._all(select(runs).where(runs.c.run_id == run_id))
        return _run(found[0]) if found else None

    def find_run(self, word: str) -> RunRow:
        """Return the one run whose id begins or ends with `word`, or the last one of a job of that name.

        Raises ConfigurationError where there is none, or more than one.
        """
        if exact := self.run(word):
            return exact
        like = _escaped(word)
        query = (
            select(runs)
            .where(
                or_(runs.c.run_id.like(f"{like}%", escape="\\"), runs.c.run_id.like(f"%{like}", escape="\\"))
            )
            .order_by(runs.c.id.desc())
            .limit(2)
        )
        found = self._all(query) if word else []
        if len(found) == 1:
            return _run(found[0])
        if found:
            raise ConfigurationError(f"{word!r} is more than one run: give more of its id.")
        if of_job := self.latest_runs(job=word, limit=1).rows:
            return of_job[0]
        raise ConfigurationError(f"There is no run {word!r}: `courtkeeper history` lists them.")

    def run_page(self, run_id: str) -> RunPage | None:
        """Return all of one run: its row, hosts, actions and record (None once retention has taken that)."""
        with self._database.read() as connection:
            row = connection.execute(select(runs).where(runs.c.run_id == run_id)).one_or_none()
            if row is None:
                return None
            hosts = connection.execute(
                select(run_hosts).where(run_hosts.c.run == row.id).order_by(run_hosts.c.host)
            ).all()
            done = connection.execute(_ACTIONS.where(actions.c.run == row.id).order_by(actions.c.seq)).all()
            packed = connection.execute(
                select(documents.c.record).where(documents.c.run == row.id)
            ).scalar_one_or_none()
        record: RunRecord | None = None if packed is None else unpack_record(packed)
        return RunPage(
            row=_run(row),
            hosts=[row_as(HostRow, host) for host in hosts],
            actions=[row_as(ActionRow, action) for action in done],
            record=record,
        )

    def output(self, run_id: str, *, after: int = -1, most: int = 200) -> list[OutputRow]:
        """Return the batches of a run's output behind number `after`, at most `most`, in order."""
        query = (
            select(output.c.seq, output.c.data)
            .join(runs, runs.c.id == output.c.run)
            .where(runs.c.run_id == run_id, output.c.seq > after)
            .order_by(output.c.seq)
            .limit(most)
        )
        return [OutputRow(row.seq, unpack_text(row.data)) for row in self._all(query)]

    def running(self) -> list[RunRow]:
        """Return the runs that have not ended, the oldest first."""
        query = select(runs).where(runs.c.status == RunStatus.RUNNING).order_by(runs.c.started_at)
        return [_run(row) for row in self._all(query)]

    def durations(self, system: str, job: str, *, last: int = 30) -> list[float]:
        """Return how long the last good runs of a job took, in seconds, the latest first; no check runs."""
        query = (
            select(runs.c.duration_s)
            .where(
                runs.c.system == system,
                runs.c.job == job,
                runs.c.status == RunStatus.OK,
                runs.c.check_mode.is_(False),
            )
            .order_by(runs.c.started_at.desc())
            .limit(last)
        )
        return [float(row.duration_s) for row in self._all(query)]

    def metric(self, system: str, job: str, name: str, *, last: int = 200) -> list[MetricPoint]:
        """Return a metric of a job over its last runs, oldest first."""
        chosen = (
            select(runs.c.id, runs.c.run_id, runs.c.started_at)
            .where(runs.c.system == system, runs.c.job == job)
            .order_by(runs.c.started_at.desc())
            .limit(last)
            .subquery()
        )
        query = (
            select(chosen.c.run_id, chosen.c.started_at, metrics.c.value)
            .join(metrics, and_(metrics.c.run == chosen.c.id, metrics.c.name == name))
            .order_by(chosen.c.started_at)
        )
        return [MetricPoint(row.run_id, row.started_at, row.value) for row in self._all(query)]

    def drift(self, system: str, job: str, *, last: int = 100) -> list[MetricPoint]:
        """Return how many tasks would have changed something, per check run of a job, oldest first."""
        query = (
            select(runs.c.run_id, runs.c.started_at, runs.c.tasks_changed)
            .where(runs.c.system == system, runs.c.job == job, runs.c.check_mode.is_(True))
            .where(runs.c.finished_at.is_not(None))
            .order_by(runs.c.started_at.desc())
            .limit(last)
        )
        rows = reversed(self._all(query))
        return [MetricPoint(row.run_id, row.started_at, float(row.tasks_changed)) for row in rows]

    def actions(self, *, limit: int = 50, after: str = "", undoable: bool = False) -> Page[ActionRow]:
        """Return what was done, the latest first; `undoable`: only what can be taken back and was not."""
        size = at_most(limit)
        query = _ACTIONS.order_by(actions.c.id.desc()).limit(size + 1)
        if undoable:
            query = query.where(actions.c.undo != "", actions.c.undone_at.is_(None))
        if at := place(after, 1):
            query = query.where(actions.c.id < at[0])
        return paged(self._all(query), size, lambda row: row_as(ActionRow, row), lambda row: token(row.id))

    # Findings

    def open_findings(
        self,
        *,
        system: str | None = None,
        job: str | None = None,
        status: Status | None = None,
        limit: int = 50,
        after: str = "",
    ) -> Page[SpanRow]:
        """Return what is wrong now, the worst first, then the latest."""
        size = at_most(limit)
        query = select(spans).where(spans.c.closed_at.is_(None), *_given(spans.c.system == system, system))
        query = query.where(*_given(spans.c.job == job, job))
        if status is not None:
            query = query.where(spans.c.severity == status.severity)
        if at := place(after, 2):
            query = query.where(tuple_(spans.c.severity, spans.c.id) < tuple_(*at))
        query = query.order_by(spans.c.severity.desc(), spans.c.id.desc()).limit(size + 1)
        return paged(self._all(query), size, _span, lambda row: token(row.severity, row.id))

    def count_open(self, *, system: str | None = None) -> dict[Status, int]:
        """Return how many findings are open, by their status."""
        query = select(spans.c.severity, func.count().label("number")).where(spans.c.closed_at.is_(None))
        query = query.where(*_given(spans.c.system == system, system)).group_by(spans.c.severity)
        return {SEVERITIES[row.severity]: row.number for row in self._all(query)}

    def findings(
        self,
        *,
        system: str | None = None,
        job: str | None = None,
        finding_id: str | None = None,
        limit: int = 50,
        after: str = "",
    ) -> Page[SpanRow]:
        """Return findings over time, open and closed, the latest opened first."""
        size = at_most(limit)
        query = select(spans).where(
            *_given(spans.c.system == system, system),
            *_given(spans.c.job == job, job),
            *_given(spans.c.finding_id == finding_id, finding_id),
        )
        if at := place(after, 2):
            query = query.where(
                tuple_(spans.c.opened_at, spans.c.id) < tuple_(moment(at[0]), at[1], types=_TIME_AND_ID)
            )
        query = query.order_by(spans.c.opened_at.desc(), spans.c.id.desc()).limit(size + 1)
        return paged(self._all(query), size, _span, lambda row: token(row.opened_at, row.id))

    def finding_history(self, key: int, *, limit: int = 200) -> list[FindingPoint]:
        """Return how one thing (`SpanRow.key`) was judged by its last runs, oldest first."""
        query = (
            select(observations, runs.c.run_id)
            .join(runs, runs.c.id == observations.c.run)
            .where(observations.c.key == key)
            .order_by(observations.c.run.desc())
            .limit(at_most(limit))
        )
        return [
            FindingPoint(row.run_id, row.at, SEVERITIES[row.severity], row.value)
            for row in reversed(self._all(query))
        ]

    def _all(self, query: Select[Any]) -> Sequence[AnyRow]:
        with self._database.read() as connection:
            return connection.execute(query).all()


_TIME_AND_ID = (Moment(), BigInteger())
_ACTIONS = select(actions, runs.c.run_id, runs.c.job, runs.c.system, runs.c.started_at.label("at")).join(
    runs, runs.c.id == actions.c.run
)


def _given(condition: ColumnElement[bool], value: object) -> list[ColumnElement[bool]]:
    return [] if value is None else [condition]


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _run(row: AnyRow) -> RunRow:
    return row_as(RunRow, row)


def _span(row: AnyRow) -> SpanRow:
    return row_as(SpanRow, row, severity=SEVERITIES[row.severity], worst=SEVERITIES[row.worst])
