"""What runs a job for the scheduler: the driver, in a thread for each run."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from courtkeeper.calendar.model import Job
from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.runner import Cancellation, RunOptions
from courtkeeper.runner import record as records
from courtkeeper.runner import run as drive
from courtkeeper.runner import store as files
from courtkeeper.runner.record import RunRecord, RunStatus
from courtkeeper.scheduler.resume import limit_after
from courtkeeper.store.identity import Origin
from courtkeeper.store.sink import Sink
from courtkeeper.store.store import Store


@dataclass(frozen=True, kw_only=True)
class Order:
    """One attempt that was claimed: what to run, under which id, and for which slot."""

    job: Job
    slot: int
    scheduled_for: datetime
    attempt: int
    run_id: str
    owner: str = ""
    trigger: str = "schedule"
    limit: str = ""
    check: bool = False


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How an attempt ended. `limit` is that of a next attempt: the hosts that are not done."""

    run_id: str
    status: RunStatus
    message: str = ""
    limit: str = ""


class Executor(Protocol):
    """Runs orders. No method waits for a run."""

    def start(self, order: Order) -> None:
        """Begin a run."""

    def cancel(self, run_id: str, reason: str) -> None:
        """End a run of ours, asked twice at once; one that has ended is left alone."""

    def finished(self) -> list[Finished]:
        """Return what ended since this was last asked."""

    def became(self, run_id: str) -> Finished | None:
        """Return what came of a run whose scheduler died on this machine; None if it never began."""


class DriverExecutor:
    """Runs jobs through the driver, on one inventory, and records them in the store as well."""

    def __init__(
        self,
        root: Path,
        inventory: str,
        store: Store,
        *,
        clock: Callable[[], datetime],
        say: Callable[[str], None],
        grace_s: float = 5.0,
    ) -> None:
        """Run playbooks of the checkout `root`; `say` hears what could not be recorded."""
        self._root = root
        self._inventory = inventory
        self._store = store
        self._clock = clock
        self._say = say
        self._grace_s = grace_s
        self._ended: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._cancels: dict[str, Cancellation] = {}

    def start(self, order: Order) -> None:
        """Begin a run in a thread of its own."""
        cancel = self._cancels[order.run_id] = Cancellation()
        thread = threading.Thread(
            target=self._run, args=(order, cancel), name=f"courtkeeper-{order.run_id}", daemon=True
        )
        thread.start()

    def cancel(self, run_id: str, reason: str) -> None:
        """Ask the driver to end the run's processes."""
        if cancel := self._cancels.get(run_id):
            cancel.request(reason)

    def finished(self) -> list[Finished]:
        """Return what ended since this was last asked."""
        found: list[Finished] = []
        while True:
            try:
                done = self._ended.get_nowait()
            except queue.Empty:
                return found
            self._cancels.pop(done.run_id, None)
            found.append(done)

    def became(self, run_id: str) -> Finished | None:
        """Close what a dead driver left, and read what came of the run."""
        files.reconcile(self._root, self._clock())
        try:
            record = records.read(files.runs_dir(self._root) / run_id / "run.json")
        except (OSError, msgspec.MsgspecError):
            return None
        if record.status is RunStatus.RUNNING:
            return Finished(run_id=run_id, status=RunStatus.FAILED, message="Its driver still runs.")
        self._store.recording.finish(record)
        return _finished(record, "")

    def _run(self, order: Order, cancel: Cancellation) -> None:
        job = order.job
        try:
            request = RunOptions(
                root=self._root,
                job=job.playbook,
                inventory=self._inventory,
                filed_as=job.name,
                run_id=order.run_id,
                check=order.check or job.check,
                limit=order.limit or job.limit or None,
                extra_vars=job.variables,
                timeout_s=job.timeout.total_seconds(),
                grace_s=self._grace_s,
            )
            origin = Origin(trigger=order.trigger, slot=order.slot, attempt=order.attempt, owner=order.owner)
            with Sink(lambda: self._store, origin) as sink:
                done = drive(request, clock=self._clock, cancel=cancel, observer=sink)
            if sink.trouble:
                self._say(sink.trouble)
            self._ended.put(_finished(done.record, request.limit or ""))
        except ConfigurationError as error:
            self._ended.put(Finished(run_id=order.run_id, status=RunStatus.REFUSED, message=str(error)))
        except CourtkeeperError as error:
            self._ended.put(Finished(run_id=order.run_id, status=RunStatus.FAILED, message=str(error)))
        except BaseException as error:
            said = f"The driver failed ({type(error).__name__}: {error})."
            self._ended.put(Finished(run_id=order.run_id, status=RunStatus.FAILED, message=said))
            raise


def _finished(record: RunRecord, limit: str) -> Finished:
    return Finished(
        run_id=record.run_id,
        status=record.status,
        message=record.message,
        limit=limit_after(record, limit),
    )


def utc_now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)
