"""A real scheduler in a process of its own, with a fake executor and a clock that runs far too fast.

A fake run is one line in a file, written before it ends, so that one that was begun twice shows.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

from courtkeeper.calendar.load import load
from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler.executor import Finished, Order
from courtkeeper.scheduler.loop import Scheduler, Settings
from courtkeeper.store import open_store


class FakeRuns:
    """Runs are lines of a file; they end at the next look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._ended: list[Finished] = []

    def start(self, order: Order) -> None:
        line = f"{order.job.name} {order.scheduled_for.isoformat()} {order.attempt} {order.run_id}\n"
        os.write(self._handle, line.encode())
        self._ended.append(Finished(run_id=order.run_id, status=RunStatus.OK))

    def cancel(self, run_id: str, reason: str) -> None:
        """Nothing of ours takes long enough."""

    def finished(self) -> list[Finished]:
        found, self._ended = self._ended, []
        return found

    def became(self, run_id: str) -> Finished | None:
        if f" {run_id}\n" in self._path.read_text():
            return Finished(run_id=run_id, status=RunStatus.FAILED, message="Its scheduler died.")
        return None


def clock(start: datetime, began: float, speed: float) -> datetime:
    """The time by a clock that showed `start` when the real one showed `began`, and stops after a day."""
    return start + timedelta(seconds=min((time.time() - began) * speed, 25 * 3600))


def main(root: Path, where: str, start: datetime, began: float, speed: float) -> None:
    """Schedule until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    loaded = load(root / "inventory/x", root)
    with open_store(root, where) as store:
        Scheduler(
            Settings(system="x", workers=1000, lease=timedelta(hours=3)),
            store=store,
            executor=FakeRuns(root / "runs.txt"),
            calendar=lambda: loaded,
            clock=lambda: clock(start, began, speed),
            say=lambda _sentence: None,
            monotonic=lambda: time.time() * speed,
        ).serve(stop, every_s=0.02)
