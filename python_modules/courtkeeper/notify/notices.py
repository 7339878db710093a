"""What has happened, and which of it is news.

An outcome is what came of a slot of the calendar once all its attempts are over, or of a run that a person
began. A job whose outcome is bad after a good one is a failure, a good one after bad ones a recovery; what
lies between is no news, and the digest tells of it. Each outcome is looked at once, in one transaction with
the messages that it leads to: a crash neither loses nor doubles one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, exists, select

from courtkeeper.notify import outbox
from courtkeeper.notify.outbox import Message
from courtkeeper.runner.record import RunStatus
from courtkeeper.store.connection import Database
from courtkeeper.store.notice_tables import marks, noticed, standings
from courtkeeper.store.states import SlotState
from courtkeeper.store.tables import runs, slots

# What ended longer ago and was not noticed is no news any more.
MEMORY = timedelta(days=3)
_MOST = 500
_ENDS = (SlotState.OK, SlotState.FAILED, SlotState.LOST, SlotState.MISSED)
_BAD = (RunStatus.FAILED, RunStatus.TIMEOUT, RunStatus.REFUSED)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a slot or of a run. `kind` is slot, run or start, and `number` the row's.

    `bad` is None where nothing can be said of the job: what was missed, what only begins.
    """

    kind: str
    number: int
    job: str
    at: datetime
    bad: bool | None
    missed: bool = False
    run_id: str = ""
    reason: str = ""
    scheduled_for: datetime | None = None

    @property
    def key(self) -> str:
        """What messages about it are stored by."""
        return self.run_id or f"{self.kind}-{self.number}"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a job stood before an outcome: since when, how many times in a row, and when last."""

    bad: bool
    since: datetime
    times: int
    seen_at: datetime

    @property
    def sentence(self) -> str:
        """How long it has stood so, for a person."""
        often = f", {self.times} times in a row" if self.times > 1 else ""
        return f"since {self.since:%Y-%m-%d %H:%M} UTC{often}"


Tell = Callable[[Outcome, Standing | None], Sequence[Message]]
TellMissed = Callable[[Sequence[Outcome]], Sequence[Message]]


class Notices:
    """Outcomes of one system, each looked at once."""

    def __init__(self, database: Database, system: str) -> None:
        """Look into `database`."""
        self._database = database
        self._system = system

    def begin(self, now: datetime) -> None:
        """What ended before the first time that anybody looks is no news."""
        row = {"system": self._system, "name": "begin", "at": now}
        with self._database.read() as connection:
            if self._mark(connection) is not None:
                return
        with self._database.write() as connection:
            connection.execute(self._database.insert(marks).values(row).on_conflict_do_nothing())

    def collect(self, now: datetime, tell: Tell, tell_missed: TellMissed, *, starts: bool = False) -> int:
        """Look at what is new, store the messages that it leads to, and return how many those are.

        `tell` is asked of each outcome that is a failure, a recovery, one more of the same, or a start;
        `tell_missed` of all slots missed together. Both are asked before anything is written.
        """
        with self._database.read() as connection:
            begun = self._mark(connection)
            if begun is None:
                return 0
            since = max(begun, now - MEMORY)
            found = [*self._slots(connection, since), *self._runs(connection, since)]
            if starts:
                found += self._starts(connection, max(begun, now - timedelta(hours=1)))
            if not found:
                return 0
            before = self._standings(connection)
        found.sort(key=lambda each: (each.at, each.kind, each.number))
        missed = [each for each in found if each.missed]
        stored = self._write(missed, list(tell_missed(missed)) if missed else [], now)
        for each in found:
            if each.missed:
                continue
            standing = before.get(each.job)
            # A later outcome was looked at before: what this one says of the job is no news.
            late = each.bad is not None and standing is not None and standing.seen_at > each.at
            stored += self._write([each], [] if late else tell(each, standing), now)
            if each.bad is not None and not late:
                before[each.job] = following(standing, each)
        return stored

    def _write(self, outcomes: Sequence[Outcome], messages: Sequence[Message], now: datetime) -> int:
        """Note outcomes and store what they lead to; nothing where another process notes one of them.

        What is left out then is news again the next time.
        """
        if not outcomes:
            return 0
        with self._database.alone() as connection:
            for each in outcomes:
                same = (noticed.c.kind == each.kind) & (noticed.c.number == each.number)
                if connection.execute(select(noticed.c.at).where(same)).first() is not None:
                    return 0
            rows = [{"kind": each.kind, "number": each.number, "at": now} for each in outcomes]
            connection.execute(noticed.insert(), rows)
            for each in outcomes:
                if each.bad is not None:
                    self._stand(connection, each)
            return outbox.put(self._database, connection, self._system, messages, now)

    def _stand(self, connection: Connection, each: Outcome) -> None:
        known = self._standings(connection).get(each.job)
        if known is not None and known.seen_at > each.at:
            return
        standing = following(known, each)
        row = {"system": self._system, "job": each.job, "bad": standing.bad, "since": standing.since}
        row |= {"times": standing.times, "seen_at": standing.seen_at}
        insert = self._database.insert(standings).values(row)
        key = [standings.c.system, standings.c.job]
        connection.execute(insert.on_conflict_do_update(index_elements=key, set_=row))

    def standings(self) -> dict[str, Standing]:
        """Return how each job stands."""
        with self._database.read() as connection:
            return self._standings(connection)

    def _standings(self, connection: Connection) -> dict[str, Standing]:
        query = select(standings).where(standings.c.system == self._system)
        return {
            row.job: Standing(bad=row.bad, since=row.since, times=row.times, seen_at=row.seen_at)
            for row in connection.execute(query).all()
        }

    def _mark(self, connection: Connection) -> datetime | None:
        query = select(marks.c.at).where(marks.c.system == self._system, marks.c.name == "begin")
        return connection.execute(query).scalar_one_or_none()

    def _slots(self, connection: Connection, since: datetime) -> list[Outcome]:
        query = (
            select(slots, runs.c.worst, runs.c.message)
            .outerjoin(runs, and_(runs.c.run_id == slots.c.run_id, slots.c.run_id != ""))
            .where(slots.c.system == self._system, slots.c.finished_at >= since, slots.c.state.in_(_ENDS))
            .where(~exists().where(noticed.c.kind == "slot", noticed.c.number == slots.c.id))
            .order_by(slots.c.finished_at, slots.c.id)
            .limit(_MOST)
        )
        return [
            Outcome(
                kind="slot",
                number=row.id,
                job=row.job,
                at=row.finished_at,
                bad=None
                if row.state == SlotState.MISSED
                else row.state != SlotState.OK or row.worst == "crit",
                missed=row.state == SlotState.MISSED,
                run_id=row.run_id,
                reason=row.message or row.reason,
                scheduled_for=row.scheduled_for,
            )
            for row in connection.execute(query).all()
        ]

    def _runs(self, connection: Connection, since: datetime) -> list[Outcome]:
        query = (
            select(runs)
            .where(runs.c.system == self._system, runs.c.finished_at >= since, runs.c.slot.is_(None))
            .where(runs.c.status.in_([*_BAD, RunStatus.OK]), runs.c.check_mode.is_(False))
            .where(~exists().where(slots.c.run_id == runs.c.run_id))
            .where(~exists().where(noticed.c.kind == "run", noticed.c.number == runs.c.id))
            .order_by(runs.c.finished_at, runs.c.id)
            .limit(_MOST)
        )
        return [
            Outcome(
                kind="run",
                number=row.id,
                job=row.job,
                at=row.finished_at,
                bad=row.status != RunStatus.OK or row.worst == "crit",
                run_id=row.run_id,
                reason=row.message,
            )
            for row in connection.execute(query).all()
        ]

    def _starts(self, connection: Connection, since: datetime) -> list[Outcome]:
        query = (
            select(runs.c.id, runs.c.run_id, runs.c.job, runs.c.started_at)
            .where(runs.c.system == self._system, runs.c.started_at >= since)
            .where(~exists().where(noticed.c.kind == "start", noticed.c.number == runs.c.id))
            .order_by(runs.c.started_at, runs.c.id)
            .limit(_MOST)
        )
        return [
            Outcome(kind="start", number=row.id, job=row.job, at=row.started_at, bad=None, run_id=row.run_id)
            for row in connection.execute(query).all()
        ]


def following(known: Standing | None, each: Outcome) -> Standing:
    """Return how a job stands after an outcome."""
    bad = bool(each.bad)
    if known is None or known.bad != bad:
        return Standing(bad=bad, since=each.at, times=1, seen_at=each.at)
    return Standing(bad=bad, since=known.since, times=known.times + 1, seen_at=each.at)
