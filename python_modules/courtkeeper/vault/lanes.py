"""One stream of bytes to several destinations at once, none of which can hide or hold up another for long."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence

from courtkeeper.vault.destinations.base import Destination, DestinationError, Upload

# What may wait for one destination. The chunks are shared: two that are as fast cost no more than one.
_WAITING_BYTES = 8 << 20
# A destination that took nothing for so long while its data are complete is not waited for any more.
_STALLED_S = 600.0


class Lane:
    """One destination's thread: it takes chunks from a bounded queue, and commits when it is told to."""

    def __init__(self, destination: Destination, key: str, expected: int) -> None:
        self.name = destination.name
        self.failure: DestinationError | None = None
        self.waited_s = 0.0
        self.committed = False
        self._destination, self._key, self._expected = destination, key, expected
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=f"vault to {self.name}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Tell whether nothing has failed yet."""
        return self.failure is None

    def offer(self, chunk: bytes, wait_s: float) -> bool:
        """Queue a chunk; False if there was no room within `wait_s`. One that failed takes everything."""
        with self._changed:
            begun = time.monotonic()
            room = self._changed.wait_for(lambda: not self.alive or self._bytes < _WAITING_BYTES, wait_s)
            self.waited_s += time.monotonic() - begun
            if room and self.alive:
                self._waiting.append(chunk)
                self._bytes += len(chunk)
                self._changed.notify_all()
            return room

    @property
    def full(self) -> bool:
        """Tell whether it would have to be waited for."""
        return self.alive and self._bytes >= _WAITING_BYTES

    def give_up(self, error: DestinationError) -> None:
        """Leave it behind: its thread removes what it wrote, when it gets to it."""
        with self._changed:
            if self.failure is None and not self.committed:
                self.failure = error
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()

    def end(self) -> None:
        """Say that this was all: now commit."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until it committed or failed; one that stands still is left behind."""
        seen, since = -1, time.monotonic()
        while self._thread.is_alive() and self.alive:
            self._thread.join(0.05 if time.monotonic() - since < 1 else 1.0)
            if self._bytes != seen:
                seen, since = self._bytes, time.monotonic()
            elif time.monotonic() - since > _STALLED_S:
                self.give_up(stalled(self.name, _STALLED_S))

    def stop(self) -> None:
        """Wait a moment for the thread of a lane that was given up to clean up after itself."""
        self._thread.join(5.0)

    def _run(self) -> None:
        upload: Upload | None = None
        try:
            upload = self._destination.begin(self._key, self._expected)
            while (chunk := self._next()) is not None:
                upload.write(chunk)
            if self.alive:
                upload.commit()
                self._commit()
        except DestinationError as error:
            self.give_up(error)
        except Exception as error:  # noqa: BLE001 - a thread has nobody to raise to
            self.give_up(unexpected(self.name, error))
        finally:
            if upload is not None and not self.committed:
                upload.abort()

    def _commit(self) -> None:
        with self._changed:
            self.committed = self.alive
            self._changed.notify_all()

    def _next(self) -> bytes | None:
        """Return the next chunk; None at the end, or when this one was given up."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._ended or not self.alive)
            if not self._waiting or not self.alive:
                return None
            chunk = self._waiting.popleft()
            self._bytes -= len(chunk)
            self._changed.notify_all()
            return chunk


class Lanes:
    """All destinations of one object. Chunks come from one thread."""

    def __init__(
        self, destinations: Sequence[Destination], key: str, expected: int, patience_s: float
    ) -> None:
        self._patience_s = patience_s
        self._lanes = [Lane(destination, key, expected) for destination in destinations]

    def send(self, chunk: bytes) -> None:
        """Hand a chunk to all; wait for who is slow, but not for ever.

        Raises DestinationError when none is left.
        """
        for lane in self._lanes:
            while lane.alive and not lane.offer(chunk, 0.5):
                others = [other for other in self._lanes if other is not lane and other.alive]
                if lane.waited_s > self._patience_s and any(not other.full for other in others):
                    lane.give_up(too_slow(lane.name, lane.waited_s))
        if not any(lane.alive for lane in self._lanes):
            raise all_failed(self.failures)

    def commit(self) -> list[str]:
        """Commit everywhere and return the names of those that did. Raises DestinationError when none did."""
        for lane in self._lanes:
            lane.end()
        for lane in self._lanes:
            lane.wait()
        good = [lane.name for lane in self._lanes if lane.committed]
        if not good:
            raise all_failed(self.failures)
        return good

    def abort(self, why: str) -> None:
        """Give up everywhere; nothing that was written stays."""
        for lane in self._lanes:
            lane.give_up(DestinationError(why))
        for lane in self._lanes:
            lane.stop()

    @property
    def failures(self) -> dict[str, DestinationError]:
        """What went wrong, by destination."""
        return {lane.name: lane.failure for lane in self._lanes if lane.failure is not None}


def all_failed(failures: dict[str, DestinationError]) -> DestinationError:
    """Return the error of a stream that no destination took."""
    sentences = "; ".join(str(error) for error in failures.values())
    whys = {error.why for error in failures.values()}
    return DestinationError(f"no destination took it: {sentences}", whys.pop() if len(whys) == 1 else "other")


def too_slow(name: str, waited_s: float) -> DestinationError:
    """Return the error of a destination that the others do not wait for any longer."""
    return DestinationError(
        f"destination {name} kept the others waiting for {waited_s:.0f} s and is left behind", "busy"
    )


def stalled(name: str, after_s: float) -> DestinationError:
    """Return the error of a destination that takes nothing."""
    return DestinationError(f"destination {name} took nothing for {after_s:.0f} s", "unreachable")


def unexpected(name: str, error: Exception) -> DestinationError:
    """Return the error of what nobody thought of."""
    return DestinationError(
        f"destination {name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    )
