"""The scheduler as `courtkeeper serve` runs it: with the real clock, driver and calendar."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from courtkeeper.calendar.load import PATH, Loaded, load
from courtkeeper.findings import CourtkeeperError
from courtkeeper.kpi.probes import Prober
from courtkeeper.kpi.probes import load as load_probes
from courtkeeper.notify.service import Notifier, setup
from courtkeeper.scheduler.executor import DriverExecutor, utc_now
from courtkeeper.scheduler.loop import Scheduler, Settings
from courtkeeper.store.retention import Keep
from courtkeeper.store.store import Store

_LOOK_EVERY_S = 5.0
_TIDY_EVERY = timedelta(hours=24)


class CalendarFile:
    """An inventory's calendar, read again when it, blackouts, hosts or playbooks change."""

    def __init__(self, inventory: Path, root: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet."""
        self._inventory, self._root = inventory, root
        self._monotonic = monotonic
        self._looked = float("-inf")
        self._stamps: object = None
        self._loaded: Loaded | None = None

    def __call__(self) -> Loaded:
        """Return it as it is now; the same object while nothing has changed."""
        now = self._monotonic()
        if self._loaded is None or now - self._looked >= _LOOK_EVERY_S:
            self._looked = now
            stamps = self._stamp()
            if self._loaded is None or stamps != self._stamps:
                self._stamps = stamps
                self._loaded = load(self._inventory, self._root)
        return self._loaded

    def _stamp(self) -> object:
        file = self._inventory / PATH
        beside = [*sorted(file.parent.glob("*.ics")), *sorted(self._inventory.glob("hosts*"))]
        seen = [file, self._root / "playbooks", *beside]
        return [(path, *_changed(path)) for path in seen]


def _changed(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def scheduler(
    root: Path,
    inventory: Path,
    store: Store,
    *,
    say: Callable[[str], None],
    workers: int = 4,
    drain_s: float = 0.0,
    clock: Callable[[], datetime] = utc_now,
) -> Scheduler:
    """Return the scheduler of a system; `tick()` and `shut_down()` are the caller's."""
    executor = DriverExecutor(root, str(inventory), store, clock=clock, say=say)
    return Scheduler(
        Settings(system=inventory.name, workers=workers, drain_s=drain_s),
        store=store,
        executor=executor,
        calendar=CalendarFile(inventory, root),
        clock=clock,
        say=say,
    )


def serve(
    root: Path,
    inventory: Path,
    store: Store,
    *,
    say: Callable[[str], None],
    stop: threading.Event,
    at_once: threading.Event,
    workers: int = 4,
    every_s: float = 1.0,
    drain_s: float = 0.0,
    keep: Keep | None = None,
) -> None:
    """Run a system's calendar until `stop` is set, tell people, probe what it serves, and tidy once a day."""
    loop = scheduler(root, inventory, store, say=say, workers=workers, drain_s=drain_s)
    others = {
        "tidy": lambda: _tidy(store, root, keep or Keep(), stop, say),
        "notify": lambda: _notifier(root, inventory, store, say).serve(stop),
        "probe": lambda: _prober(root, inventory, store, say).serve(stop),
    }
    threads = [
        threading.Thread(target=work, name=f"courtkeeper-{name}", daemon=True)
        for name, work in others.items()
    ]
    for thread in threads:
        thread.start()
    say(f"Running the calendar of {inventory.name}.")
    loop.serve(stop, every_s=every_s, at_once=at_once)
    for thread in threads:
        thread.join(60)
    say("Stopped.")


def _notifier(root: Path, inventory: Path, store: Store, say: Callable[[str], None]) -> Notifier:
    return Notifier(
        inventory.name,
        store=store,
        read=lambda: setup(root, inventory),
        calendar=CalendarFile(inventory, root),
        clock=utc_now,
        say=say,
    )


def _prober(root: Path, inventory: Path, store: Store, say: Callable[[str], None]) -> Prober:
    return Prober(
        inventory.name,
        root,
        database=store.database,
        read=lambda: load_probes(inventory, root),
        clock=utc_now,
        say=say,
    )


def _tidy(store: Store, root: Path, keep: Keep, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Remove what is too old, in a thread of its own: the first time takes long."""
    while not stop.wait(60):
        try:
            store.retention.apply(utc_now(), keep, root)
        except CourtkeeperError as error:
            say(str(error))
        if stop.wait(_TIDY_EVERY.total_seconds()):
            return
