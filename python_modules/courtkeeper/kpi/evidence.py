"""The questions that indicators ask the store; each has an index, and none reads whole records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, and_, case, func, or_, select, type_coerce

from courtkeeper.findings import Status
from courtkeeper.kpi import probes
from courtkeeper.store.connection import Database
from courtkeeper.store.tables import (
    approvals,
    finding_keys,
    metrics,
    observations,
    run_hosts,
    runs,
    slots,
    spans,
)

# What was not tried for so long is not there any more; and as far back as the store remembers, because the
# last time that something was proven may be long ago.
LATELY = timedelta(days=100)
MEMORY = timedelta(days=400)
_DAY_US = 24 * 3600 * 1_000_000


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One judgement of one thing: `value` is what was observed, where that is a number."""

    at: datetime
    run: int
    host: str
    subject: str
    status: Status
    value: float | None


@dataclass(frozen=True, kw_only=True)
class Done:
    """What came of a slot, or of a run by hand: `scheduled_for` and `began` are None where there is none."""

    at: datetime
    job: str
    state: str
    by_itself: bool
    scheduled_for: datetime | None = None
    began: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The numbers of one run, by name; of several hosts each."""

    at: datetime
    numbers: dict[str, list[float]]


class Evidence:
    """What the store knows of one system, in the window from `start` to `now`."""

    def __init__(self, database: Database, system: str, start: datetime, now: datetime) -> None:
        """Ask `database`."""
        self._database = database
        self.system = system
        self.start = start
        self.now = now
        self._slots: list[Done] | None = None  # three indicators ask for them

    def probes(self) -> list[probes.Hour]:
        """Return the hours in which something was probed."""
        return probes.hours(self._database, self.system, self.start, self.now)

    def observed(self, finding_id: str, since: datetime | None = None) -> list[Observed]:
        """Return how findings of that id were judged, oldest first; in the window, or `since`."""
        severities = {status.severity: status for status in Status}
        query = (
            select(
                *(observations.c[name] for name in ("at", "run", "severity", "value")),
                finding_keys.c.host,
                finding_keys.c.subject,
            )
            .join(finding_keys, finding_keys.c.id == observations.c.key)
            .join(runs, runs.c.id == observations.c.run)
            .where(finding_keys.c.finding_id == finding_id, finding_keys.c.system == self.system)
            .where(observations.c.at >= (since or self.start), observations.c.at <= self.now)
            .where(runs.c.check_mode.is_(False))
            .order_by(observations.c.at, observations.c.run)
        )
        with self._database.read() as connection:
            return [
                Observed(
                    at=row.at,
                    run=row.run,
                    host=row.host,
                    subject=row.subject,
                    status=severities[row.severity],
                    value=row.value,
                )
                for row in connection.execute(query).all()
            ]

    def metrics(self, names: Sequence[str], since: datetime | None = None) -> list[Measured]:
        """Return the runs in earnest that measured one of `names`, oldest first.

        Where several hosts measured the same, the driver has put the host's name and a dot before it.
        """
        named = or_(metrics.c.name.in_(names), *(metrics.c.name.like(f"%.{name}") for name in names))
        begun = (
            select(runs.c.id, runs.c.started_at)
            .where(runs.c.system == self.system, runs.c.check_mode.is_(False))
            .where(runs.c.started_at >= (since or self.start), runs.c.started_at <= self.now)
            .order_by(runs.c.started_at, runs.c.id)
        )
        with self._database.read() as connection:
            times = {row.id: row.started_at for row in connection.execute(begun).all()}
            if not times:
                return []
            # Asked by the range of runs, which is an index; a join would be made by reading all metrics.
            near = metrics.c.run.between(min(times), max(times))
            rows = connection.execute(
                select(metrics.c.run, metrics.c.name, metrics.c.value).where(near, named)
            ).all()
        found: dict[int, dict[str, list[float]]] = {}
        for row in rows:
            if row.run in times:
                found.setdefault(row.run, {}).setdefault(row.name.rpartition(".")[2], []).append(row.value)
        return [Measured(at=at, numbers=found[run]) for run, at in times.items() if run in found]

    def slots(self) -> list[Done]:
        """Return the slots of the window that are at their end, missed ones too, in the order of their end.

        `began` is when the first attempt did. A slot that a person approved, or asked for, is not by itself.
        """
        if self._slots is not None:
            return self._slots
        first = (
            select(runs.c.slot, func.min(runs.c.started_at).label("began"))
            .where(runs.c.system == self.system, runs.c.started_at >= self.start - timedelta(days=15))
            .where(runs.c.slot.is_not(None))
            .group_by(runs.c.slot)
            .subquery()
        )
        same = and_(
            approvals.c.system == slots.c.system,
            approvals.c.job == slots.c.job,
            approvals.c.scheduled_for == slots.c.scheduled_for,
        )
        query = (
            select(
                *(slots.c[name] for name in ("finished_at", "job", "state", "trigger", "scheduled_for")),
                slots.c.started_at,
                first.c.began,
                approvals.c.at.label("approved_at"),
            )
            .outerjoin(first, first.c.slot == slots.c.id)
            .outerjoin(approvals, same)
            .where(slots.c.system == self.system)
            .where(slots.c.finished_at >= self.start, slots.c.finished_at <= self.now)
            .order_by(slots.c.finished_at, slots.c.id)
        )
        with self._database.read() as connection:
            self._slots = [
                Done(
                    at=row.finished_at,
                    job=row.job,
                    state=row.state,
                    by_itself=row.trigger == "schedule" and row.approved_at is None,
                    scheduled_for=row.scheduled_for,
                    began=row.began or row.started_at,
                )
                for row in connection.execute(query).all()
            ]
        return self._slots

    def by_hand(self) -> list[Done]:
        """Return the runs in earnest that a person began himself."""
        query = (
            select(runs.c.finished_at, runs.c.job, runs.c.status)
            .where(runs.c.system == self.system, runs.c.slot.is_(None), runs.c.check_mode.is_(False))
            .where(runs.c.finished_at >= self.start, runs.c.finished_at <= self.now)
            .order_by(runs.c.finished_at)
        )
        with self._database.read() as connection:
            return [
                Done(at=row.finished_at, job=row.job, state=row.status, by_itself=False)
                for row in connection.execute(query).all()
            ]

    def closed(self) -> Iterator[tuple[datetime, timedelta]]:
        """Yield when each warning or critical finding of the window was closed, and how long it was open."""
        query = (
            select(spans.c.opened_at, spans.c.closed_at)
            .where(spans.c.system == self.system, spans.c.worst >= Status.WARN.severity)
            .where(spans.c.closed_at >= self.start, spans.c.closed_at <= self.now)
            .order_by(spans.c.closed_at, spans.c.id)
        )
        with self._database.read() as connection:
            for row in connection.execute(query).all():
                yield row.closed_at, row.closed_at - row.opened_at

    def well_on(self, playbook: str, since: timedelta) -> dict[str, list[datetime]]:
        """Return, by host that it was tried on, when a playbook ended well there in earnest, oldest first.

        Of each day only the last time; an empty list where it never did.
        """
        day = type_coerce(runs.c.started_at, BigInteger) // _DAY_US
        good = and_(
            runs.c.status == "ok",
            runs.c.check_mode.is_(False),
            run_hosts.c.failed == 0,
            run_hosts.c.unreachable == 0,
        )
        query = (
            select(run_hosts.c.host, func.max(case((good, runs.c.started_at))).label("at"))
            .join(runs, runs.c.id == run_hosts.c.run)
            .where(runs.c.system == self.system, runs.c.playbook == playbook)
            .where(runs.c.started_at >= self.now - since, runs.c.started_at <= self.now)
            .group_by(run_hosts.c.host, day)
        )
        found: dict[str, list[datetime]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query).all():
                found.setdefault(row.host, []).extend([row.at] if row.at is not None else [])
        return {host: sorted(times) for host, times in found.items()}

    def proven(self, since: timedelta) -> dict[str, list[datetime]]:
        """Return, by source that was drilled, when a drill proved one of its backups, oldest first."""
        found: dict[str, list[datetime]] = {}
        for each in self.observed("drill.restore", self.now - since):
            times = found.setdefault(each.subject.partition("/")[0], [])
            if each.status is Status.OK:
                times.append(each.at)
        return found


def lasting(ask: Callable[[timedelta], dict[str, list[datetime]]]) -> dict[str, list[datetime]]:
    """Return when something last happened to each that it was tried on lately; of all, where none was.

    Asks further back only where it must: most of the store is old.
    """
    lately = ask(LATELY)
    if lately and all(lately.values()):
        return lately
    ever = ask(MEMORY)
    return {name: ever.get(name, []) for name in lately} if lately else ever
