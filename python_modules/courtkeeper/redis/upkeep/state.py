"""What the upkeep keeps between its runs: readings of the hit counters, and where a walk was broken off."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError

# A reading is some 30 kB at most (200 patterns); a file that is larger is none of ours.
_MOST_BYTES = 64 * 2**20
_LAST_TIME = 253_402_300_799.0  # the year 9999, where the calendar ends


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The counters at one moment (`at`, Unix time).

    `hits` and `misses` are the server's own since its start, read when the upkeep was done, so that its own
    look-ups are not counted. `counters` are the application's: hits and misses by pattern.
    """

    at: float
    run_id: str = ""
    hits: int = 0
    misses: int = 0
    counters: dict[str, tuple[int, int]] = {}


class State(msgspec.Struct, kw_only=True):
    """`readings` with the newest last; `removed` says when a pattern's keys were last removed (Unix time).

    `cursor` is where the last walk over the keys ended, 0 for the beginning; it is valid for `run_id`.
    """

    version: int = 1
    readings: list[Reading] = []
    removed: dict[str, float] = {}
    cursor: int = 0
    run_id: str = ""

    def add(self, reading: Reading, keep: int) -> None:
        """Add a reading and drop the oldest beyond `keep`."""
        self.readings = [*self.readings, reading][-keep:]


class Memory:
    """The file of one server (`where`) in `directory`; with no directory nothing is kept."""

    def __init__(self, directory: str, where: str) -> None:
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", where).strip("-.")[:60]
        digest = sha256(where.encode()).hexdigest()[:8]
        self.directory = Path(directory) if directory else None
        self.path = Path(directory) / f"{name}-{digest}.json"
        self.damaged = False

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the lock of this server; yields whether nobody else does. It ends with its process."""
        if self.directory is None:
            yield True
            return
        with os.fdopen(_opened(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def read(self) -> State:
        """Return what the last run wrote. What cannot be read counts as nothing, and `damaged` is set."""
        if self.directory is None:
            return State()
        try:
            with os.fdopen(_opened(self.path, os.O_RDONLY), "rb") as stream:
                content = stream.read(_MOST_BYTES + 1)
            state = decoded(content)
        except FileNotFoundError:
            return State()
        self.damaged = state is None
        return state or State()

    def write(self, state: State) -> None:
        """Write the file whole or not at all (0600). Raises CourtkeeperError."""
        if self.directory is None:
            return
        fresh = self.path.with_suffix(".new")
        try:
            with os.fdopen(_opened(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(msgspec.json.encode(state))
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(self.path)
        except OSError as error:
            raise CourtkeeperError(
                f"{self.path} cannot be written ({error.strerror}): make room, or mend its permissions"
            ) from error


def decoded(content: bytes) -> State | None:
    """Return what a file says; None where it is none of ours."""
    if len(content) > _MOST_BYTES:
        return None
    try:
        state = msgspec.json.decode(content, type=State)
    except (ValueError, RecursionError):
        return None
    times = [reading.at for reading in state.readings] + list(state.removed.values())
    sound = state.version == 1 and state.cursor >= 0 and all(0 <= at < _LAST_TIME for at in times)
    return state if sound else None


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CourtkeeperError(
            f"{path} cannot be opened ({error.strerror}): mend its permissions, or remove it"
        ) from error
