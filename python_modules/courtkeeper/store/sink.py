"""Takes a run into the store while it goes: one thread writes, in batches; the run never waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner import Cancellation, Observer
from courtkeeper.runner.record import RunRecord
from courtkeeper.store.identity import Identity, Origin

if TYPE_CHECKING:
    from courtkeeper.store.store import Store

Result = TypeVar("Result")
_BATCH = 1000  # lines
_EVERY_S = 0.5
_LOOK_EVERY_S = 2.0
# A store that answers no more must not fill the memory: what is printed is in output.log too.
_MOST_LINES = 200_000


class Sink(Observer):
    """An observer of one run that writes to the store; a context manager that waits for the last write.

    `open_store` is called in the sink's own thread, because it takes longer than a run wants to wait.
    `trouble` is a sentence where not all could be stored: the run's own files have it.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        origin: Origin,
        *,
        person: Identity | None = None,
        cancel: Cancellation | None = None,
        wait_s: float = 60.0,
    ) -> None:
        """Wait at most `wait_s` seconds for the store at the end.

        `person` is who drives the run where no scheduler does, so that others see that he lives; `cancel` is
        asked for the run's end when the store says that somebody wants it.
        """
        self._person = person
        self._cancel = cancel
        self.trouble = ""
        self._open = open_store
        self._origin = origin
        self._wait_s = wait_s
        self._queue: queue.SimpleQueue[RunRecord | str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="courtkeeper-store", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left."""
        self._queue.put(None)
        self._thread.join(self._wait_s)
        if self._thread.is_alive():
            self.trouble = "The store did not take the run in time; its files are in var/runs/."

    def began(self, record: RunRecord) -> None:
        """Store that the run has begun."""
        self._queue.put(msgspec.structs.replace(record))

    def printed(self, line: str) -> None:
        """Store a line, with others."""
        if self._queue.qsize() < _MOST_LINES:
            self._queue.put(line)

    def ended(self, record: RunRecord) -> None:
        """Store what came of it."""
        self._queue.put(record)

    def _work(self) -> None:
        store = self._attempt(self._opened, "It is not in the store")
        run_id, seq = "", 0
        lines: list[str] = []
        flushed = looked = time.monotonic()
        item: RunRecord | str | _Pause = _NOTHING
        while item is not _END:
            item = self._next(_EVERY_S)
            if isinstance(item, str):
                lines.append(item)
            full = len(lines) >= _BATCH or time.monotonic() - flushed >= _EVERY_S
            if lines and (full or item is _END or isinstance(item, RunRecord)):
                if store is not None and not self.trouble:
                    self._attempt(
                        partial(store.recording.output, run_id, seq, lines),
                        "Its output is not all in the store",
                    )
                lines, seq, flushed = [], seq + 1, time.monotonic()
            if store is not None and time.monotonic() - looked >= _LOOK_EVERY_S:
                self._attempt(partial(self._look, store, run_id), "Whether to cancel it is not known")
                looked = time.monotonic()
            if isinstance(item, RunRecord) and store is not None:
                run_id = item.run_id
                write = store.recording.begin if item.finished_at is None else store.recording.finish
                self._attempt(partial(write, item, self._origin), "It is not in the store")

        if store is not None and self._person:
            self._attempt(partial(store.owners.leave, self._person), "Its locks are not free")

    def _opened(self) -> Store:
        store = self._open()
        if self._person:
            store.owners.register(self._person, "person")
        return store

    def _look(self, store: Store, run_id: str) -> None:
        """Say that we live, and hear whether the run is to end."""
        if self._person:
            store.owners.renew(self._person)
        if self._cancel is not None and not self._cancel.requested.is_set():
            for by in store.people.cancellations([run_id]).values():
                self._cancel.request(f"by {by}")

    def _attempt(self, write: Callable[[], Result], what: str) -> Result | None:
        try:
            return write()
        except CourtkeeperError as error:
            self.trouble = f"{what}, its files are in var/runs/. {error}"
        except Exception as error:  # noqa: BLE001 - a thread has no caller: the run goes on and says so
            self.trouble = f"{what}, its files are in var/runs/: {type(error).__name__}: {error}"
        return None

    def _next(self, timeout: float) -> RunRecord | str | _Pause:
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return _NOTHING
        return _END if item is None else item


class _Pause:
    """Nothing came, or nothing more will."""


_NOTHING = _Pause()
_END = _Pause()
