"""Bytes from one thread to another, bounded in what may wait."""

from __future__ import annotations

import threading
from collections import deque

_WAITING_BYTES = 4 << 20


class StoppedError(Exception):
    """The other side of a queue is gone; its own error says why."""


class ByteQueue:
    """A queue of chunks with one writer and one reader; to the reader it is also a file (`read`)."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._rest = memoryview(b"")
        self._ended = self._stopped = False
        self._changed = threading.Condition()

    def put(self, chunk: bytes) -> None:
        """Add a chunk, when there is room. Raises StoppedError once nobody reads any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < _WAITING_BYTES or self._stopped)
            if self._stopped:
                raise StoppedError
            self._chunks.append(chunk)
            self._bytes += len(chunk)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that this was all."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Give up: whoever waits, or comes, gets StoppedError."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self) -> bytes:
        """Return the next chunk; empty at the end. Raises StoppedError."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._chunks) or self._ended or self._stopped)
            if self._stopped:
                raise StoppedError
            if not self._chunks:
                return b""
            chunk = self._chunks.popleft()
            self._bytes -= len(chunk)
            self._changed.notify_all()
            return chunk

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes of what comes next; empty at the end. Raises StoppedError."""
        if not self._rest:
            self._rest = memoryview(self.take())
        taken = bytes(self._rest[:size] if size >= 0 else self._rest)
        self._rest = self._rest[len(taken) :]
        return taken
