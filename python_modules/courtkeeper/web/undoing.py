"""What an operator takes back from the dashboard: each in a thread of its own, as `courtkeeper undo` does."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from courtkeeper import undo
from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner import processes
from courtkeeper.store.store import Store
from courtkeeper.undo import Way

_LIMIT_S = 3600.0
_GRACE_S = 5.0
_KEPT = 100


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who takes something back since when; `trouble` says why it did not work, once it has not."""

    by: str
    at: datetime
    trouble: str = ""

    @property
    def going(self) -> bool:
        """Whether it has not ended yet. One that ended well is no attempt any more: the store has it."""
        return not self.trouble


class Undoing:
    """What is being taken back, and what could not be, since the dashboard was started."""

    def __init__(self, store: Store, root: Path, clock: Callable[[], datetime]) -> None:
        """Begin with nothing. `root` is the checkout."""
        self._store, self._root, self._clock = store, root, clock
        self._lock = threading.Lock()
        self._attempts: OrderedDict[int, Attempt] = OrderedDict()
        self._threads: dict[int, threading.Thread] = {}
        self._stopped = False

    def begin(self, way: Way, inventory: Path, by: str) -> bool:
        """Begin to go a way back that can be run; False where somebody does so already."""
        now, action = self._clock(), way.action
        with self._lock:
            known = self._attempts.get(way.number)
            if self._stopped or (known and known.going):
                return False
            self._note(way.number, Attempt(by, now))
        try:
            self._log(way, "undo-begun", by, action.undo)
        except CourtkeeperError:
            self._forget(way.number)  # what cannot be put down is not done
            raise
        name = f"courtkeeper-undo-{way.number}"
        thread = threading.Thread(target=self._go, args=(way, inventory, by), name=name, daemon=True)
        self._threads[way.number] = thread
        thread.start()
        return True

    def attempt(self, number: int) -> Attempt | None:
        """Return how it stands with an action that is being taken back, or could not be."""
        with self._lock:
            return self._attempts.get(number)

    def stop(self) -> None:
        """End what still goes, to the last process."""
        with self._lock:
            self._stopped = True
        give_up_at = time.monotonic() + 4 * _GRACE_S
        for number, thread in self._threads.items():
            # While its thread lives it may just be starting a process: look again.
            while thread.is_alive() and time.monotonic() < give_up_at:
                processes.end_run(self._mark(number), grace_s=_GRACE_S)
                thread.join(0.2)

    def _go(self, way: Way, inventory: Path, by: str) -> None:
        try:
            mark = self._mark(way.number)
            undo.go(way, self._root, str(inventory), aloud=False, mark=mark, limit_s=_LIMIT_S)
            self._store.people.mark_undone(way.number, by=by, at=self._clock())
        except Exception as error:  # noqa: BLE001 - a thread has no caller: the page and the log say it
            said = str(error) if isinstance(error, CourtkeeperError) else f"{type(error).__name__}: {error}"
            self._failed(way, by, "It was broken off: the dashboard was stopped." if self._stopped else said)
        else:
            self._forget(way.number)

    def _failed(self, way: Way, by: str, trouble: str) -> None:
        with self._lock:
            self._note(way.number, replace(self._attempts[way.number], trouble=trouble))
        try:
            self._log(way, "undo-failed", by, trouble)
        except CourtkeeperError:
            return  # the store takes nothing: the page has the reason while the dashboard lives

    def _note(self, number: int, attempt: Attempt) -> None:
        self._attempts[number] = attempt
        over = [known for known, each in self._attempts.items() if not each.going]
        for old in over[:-_KEPT]:
            del self._attempts[old]

    def _forget(self, number: int) -> None:
        with self._lock:
            self._attempts.pop(number, None)

    def _log(self, way: Way, what: str, by: str, detail: str) -> None:
        action = way.action
        self._store.people.log(
            by, what, at=self._clock(), system=action.system, subject=action.run_id, detail=detail
        )

    def _mark(self, number: int) -> Path:
        """Return the name in the environment by which what it starts is found; no such file is made."""
        return self._root / "var" / "undo" / str(number)
