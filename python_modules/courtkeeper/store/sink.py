"""Takes a run into the store while it goes: one thread writes, in batches; the run never waits for it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner import Observer
from courtkeeper.runner.record import RunRecord
from courtkeeper.store.recording import Origin
from courtkeeper.store.store import Store

Result = TypeVar("Result")
_BATCH = 1000  # lines
_EVERY_S = 0.5
# A store that answers no more must not fill the memory: what is printed is in output.log too.
_MOST_LINES = 200_000


class Sink(Observer):
    """An observer of one run that writes to the store; a context manager that waits for the last write.

    `open_store` is called in the sink's own thread, because it takes longer than a run wants to wait.
    `trouble` is a sentence where not all could be stored: the run's own files have it.
    """

    def __init__(self, open_store: Callable[[], Store], origin: Origin, wait_s: float = 60.0) -> None:
        """Begin to open the store; wait `wait_s` seconds for it at the end."""
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
        store = self._attempt(self._open, "It is not in the store")
        run_id, seq = "", 0
        lines: list[str] = []
        flushed = time.monotonic()
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
            if isinstance(item, RunRecord) and store is not None:
                run_id = item.run_id
                write = store.recording.begin if item.finished_at is None else store.recording.finish
                self._attempt(partial(write, item, self._origin), "It is not in the store")

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
