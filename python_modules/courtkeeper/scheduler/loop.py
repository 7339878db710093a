"""The loop: one tick looks at everything once. Time, store, executor and calendar are given.

Several may run on one store. A slot is made once (its job and time are unique), decisions are taken by one
scheduler at a time, and what a dead one left is closed by whoever notices.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from courtkeeper.calendar.load import Loaded
from courtkeeper.calendar.model import Job, Misfire
from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner.store import new_run_id
from courtkeeper.scheduler import forecast, gates, recovery
from courtkeeper.scheduler.due import Upcoming, due
from courtkeeper.scheduler.executor import Executor, Finished, Order
from courtkeeper.scheduler.settling import outcome
from courtkeeper.store import identity, owners
from courtkeeper.store.dispatch import Dispatch
from courtkeeper.store.rows import SlotRow
from courtkeeper.store.slots import ON_TIME, Ended, Made
from courtkeeper.store.store import Store

_SWEEP_EVERY_S = 5.0
_MOST = 100  # slots looked at in one tick


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`system`: whose calendar it is; `workers`: how many runs at once.

    `lease`: for how long the others believe in us without hearing from us. It is renewed three times in it.
    `drain_s`: how long running jobs may go on once we are told to end; then they are cancelled.
    """

    system: str
    workers: int = 4
    lease: timedelta = owners.LEASE
    drain_s: float = 0.0
    machine: str | None = None


class Scheduler:
    """One scheduler on one system."""

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        executor: Executor,
        calendar: Callable[[], Loaded],
        clock: Callable[[], datetime],
        say: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`calendar` returns the calendar as it is now, the same object while it has not changed.

        `say` takes sentences for a person.
        """
        self.settings = settings
        self.store = store
        self.executor = executor
        self._calendar = calendar
        self._clock = clock
        self._monotonic = monotonic
        self._say = say
        self.identity = identity.identify(settings.machine)
        self.orders: dict[str, Order] = {}
        self._ended: list[Finished] = []  # not stored yet, because the store did not take it
        self._loaded = Loaded(file="")
        self._problems: frozenset[str] = frozenset()
        self._cursors: dict[str, datetime] = {}
        self._upcoming: dict[str, Upcoming] = {}
        self._renewed = self._swept = float("-inf")
        self._last: tuple[datetime, float] | None = None
        self._registered = False
        self._complaint = ""

    # The loop

    def serve(
        self, stop: threading.Event, *, every_s: float = 1.0, at_once: threading.Event | None = None
    ) -> None:
        """Tick until `stop` is set, then end what runs; `at_once`: without waiting for it."""
        try:
            while not stop.is_set():
                self.guarded(self.tick)
                stop.wait(every_s)
        finally:
            self.shut_down(at_once or threading.Event())

    def guarded(self, action: Callable[[], object]) -> None:
        """Do something whose failure must not end the loop: a full disk, a lost server. Said once."""
        try:
            action()
        except CourtkeeperError as error:
            if str(error) != self._complaint:
                self._say(str(error))
            self._complaint = str(error)
        else:
            self._complaint = ""

    def tick(self) -> None:
        """Do everything once. Raises CourtkeeperError where the store cannot be used."""
        now = self._clock()
        self._settle()
        self._look_at_calendar(now)
        self._renew()
        self._look_at_clock(now)
        self._make(now)
        self._dispatch(now)
        self._cancel()

    def shut_down(self, at_once: threading.Event) -> None:
        """Begin nothing more; wait `drain_s` for what runs, then end it; leave no process and no lock.

        `at_once` is for whoever does not want to wait: the runs are ended now, and the hard way.
        """
        until = self._monotonic() + self.settings.drain_s
        asked = 0
        while self.orders:
            self.guarded(self._settle)
            if self._complaint and {done.run_id for done in self._ended} == set(self.orders):
                break  # the store takes nothing: the files have it, and the next start takes them in
            if asked < (2 if at_once.is_set() else 1) and (at_once.is_set() or self._monotonic() >= until):
                asked += 1
                for run_id in self.orders:
                    self.executor.cancel(run_id, "because the scheduler was stopped")
            time.sleep(0.05)
        if self._registered:
            self.guarded(lambda: self.store.owners.leave(self.identity))

    # Its steps

    def _renew(self) -> None:
        """Say that we live, and close what the dead left."""
        now = self._monotonic()
        if now - self._renewed < self.settings.lease.total_seconds() / 3:
            return
        if not self._registered:
            self.store.owners.register(self.identity, "scheduler", self.settings.lease)
            self._registered = True
        elif not self.store.owners.renew(self.identity, self.settings.lease):
            self._return()
        self._renewed = now
        for dead in self.store.owners.dead(self.identity):
            args = (self.store, self.executor, dead, self.identity, self._loaded)
            recovery.close(*args, self._clock(), self._say)

    def _return(self) -> None:
        """Go on after others believed us dead: under a new name, with the locks that are still to be had."""
        self._say(
            f"Not heard from for {self.settings.lease}: others have taken over; going on under a new name."
        )
        system, now = self.settings.system, self._clock()
        self.identity = identity.identify(self.settings.machine)
        self.store.owners.register(self.identity, "scheduler", self.settings.lease)
        with self.store.database.alone() as connection:
            for run_id, order in self.orders.items():
                holder = f"{order.job.name} ({run_id})"
                wanted = owners.rows(system, order.job.locks, self.identity.owner, holder, now, order.slot)
                if held := owners.take(connection, wanted):
                    self.executor.cancel(run_id, f"because {held}, while this scheduler was not heard from")

    def _look_at_clock(self, now: datetime) -> None:
        """Notice a clock that was set: what was made of a time that has not come is forgotten."""
        monotonic = self._monotonic()
        if self._last is not None:
            jump = now - self._last[0] - timedelta(seconds=monotonic - self._last[1])
            if abs(jump) > ON_TIME:
                way = "forward" if jump > timedelta(0) else "back"
                self._say(
                    f"The clock went {way} by {abs(jump)}: nothing runs twice, what is missed is noted."
                )
        ahead = any(until > now + ON_TIME for until in self._cursors.values())
        if ahead:
            self.store.slots.rewind(self.settings.system, now)
            self._cursors = {job: min(until, now) for job, until in self._cursors.items()}
            self._upcoming = {}
        self._last = now, monotonic

    def _look_at_calendar(self, now: datetime) -> None:
        """Take a new calendar over: a new job and a new rule count from now on."""
        loaded = self._calendar()
        if loaded is self._loaded:
            return
        problems = frozenset(str(problem) for problem in loaded.problems)
        for sentence in sorted(problems - self._problems):
            self._say(sentence)
        self._problems = problems
        if loaded.problems and not loaded.jobs and not loaded.broken:
            return  # the file as a whole cannot be read: what it said before holds
        known = self.store.slots.cursors(self.settings.system)
        self._cursors, self._upcoming = {}, {}
        for job in loaded.jobs:
            if not job.enabled:
                continue
            old, until = known.get(job.name, ("", now))
            if old != rule(job):
                until = now
                self.store.slots.start_job(self.settings.system, job.name, rule(job), now)
            self._cursors[job.name] = until
        self.store.slots.forget_jobs(self.settings.system, [*self._cursors, *loaded.broken])
        self._loaded = loaded

    def _make(self, now: datetime) -> None:
        """Make the occurrences that are due into slots."""
        made: list[Made] = []
        for job in self._loaded.jobs:
            if job.name in self._cursors and self._is_due(job, now):
                found, until = due(job, self._upcoming[job.name], now)
                latest = job.misfire_policy is not Misfire.ALL
                made.append(Made(job=job.name, occurrences=found, until=until, only_latest=latest))
        if not made:
            return
        try:
            self.store.slots.make(self.settings.system, made, now)
        except BaseException:
            self._upcoming = {}  # they are taken again, from the cursors
            raise
        self._cursors |= {each.job: each.until for each in made}

    def _is_due(self, job: Job, now: datetime) -> bool:
        if job.name not in self._upcoming:
            schedule = self._loaded.schedules[job.name]
            self._upcoming[job.name] = Upcoming(schedule, self._cursors[job.name])
        following = self._upcoming[job.name].next
        return following is not None and following <= now

    def _dispatch(self, now: datetime) -> None:
        """Begin what may begin."""
        if not self.store.slots.any_waiting(self.settings.system, now):
            return
        if self._monotonic() - self._swept >= _SWEEP_EVERY_S:
            self.store.slots.sweep(self.settings.system, now)
            self._swept = self._monotonic()
        jobs = self._jobs()
        orders: list[Order] = []
        with self.store.slots.dispatching(self.settings.system, now, _MOST) as dispatch:
            for slot in dispatch.waiting:
                order, reason = self._claim(dispatch, jobs.get(slot.job), slot, now, len(orders))
                if order is not None:
                    orders.append(order)
                else:
                    dispatch.note(slot, reason)
        for order in orders:  # the claims are stored: whatever happens now, they are ours
            self.orders[order.run_id] = order
            self.executor.start(order)

    def _claim(
        self, dispatch: Dispatch, job: Job | None, slot: SlotRow, now: datetime, begun: int
    ) -> tuple[Order | None, str]:
        if job is None:
            return None, "its job is not in the calendar, or cannot be used as it stands there"
        if not job.enabled and slot.trigger != "request":
            return None, "its job is not enabled"
        reason = gates.in_the_way(dispatch, self._loaded, job, slot, now)
        if not reason and job.disruptive and self._loaded.windows[job.name] is not None:
            expected = forecast.of_job(self.store, self.settings.system, job.name)
            reason = gates.too_long(self._loaded, job, slot, expected, now)
        if not reason and len(self.orders) + begun >= self.settings.workers:
            reason = f"all {self.settings.workers} workers are busy"
        run_id = new_run_id(job.name, now)
        reason = reason or dispatch.claim(slot, job.locks, self.identity.owner, run_id)
        if reason:
            return None, reason
        options = _options(slot)
        return Order(
            job=job,
            slot=slot.id,
            scheduled_for=slot.scheduled_for,
            attempt=slot.attempt + 1,
            run_id=run_id,
            owner=self.identity.owner,
            trigger=slot.trigger,
            limit=str(options.get("limit", "")),
            check=bool(options.get("check", False)),
        ), ""

    def _settle(self) -> None:
        """Store what ended; what the store does not take is kept for the next time."""
        self._ended += self.executor.finished()
        known = [(self.orders[done.run_id], done) for done in self._ended if done.run_id in self.orders]
        if known:
            now = self._clock()
            ended = [
                Ended(order.slot, order.run_id, outcome(order, done, self._loaded, now))
                for order, done in known
            ]
            self.store.slots.settle(self.identity.owner, ended)
        for order, _ in known:
            self.orders.pop(order.run_id)
        self._ended = []

    def _cancel(self) -> None:
        """End the runs that a person wants ended."""
        if not self.orders:
            return
        for run_id, by in self.store.people.cancellations(list(self.orders)).items():
            self.executor.cancel(run_id, f"by {by}")

    def _jobs(self) -> dict[str, Job]:
        return {job.name: job for job in self._loaded.jobs}


def rule(job: Job) -> str:
    """Return what decides when a job runs: where that changes, the past is no more by that rule."""
    return f"{job.schedule};TZID={job.time_zone};ANCHOR={job.anchor or ''}"


def _options(slot: SlotRow) -> dict[str, object]:
    return msgspec.json.decode(slot.options, type=dict[str, object]) if slot.options else {}
