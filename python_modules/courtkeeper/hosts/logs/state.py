"""What the duty keeps on the host between its runs: /var/lib/courtkeeper/log_rotation, for root only."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.logs.stanzas import Stanza

DIRECTORY = Path("/var/lib/courtkeeper/log_rotation")
LOCK_S = 120.0


class State(msgspec.Struct, frozen=True):
    """The stanzas in use, where their files end up ('' or a directory), and which files they replaced."""

    stanzas: list[Stanza] = []
    archive: str = ""
    replaced: list[str] = []


def read(directory: Path = DIRECTORY) -> State:
    """Return what the last run wrote. Raises CourtkeeperError for a damaged file."""
    path = directory / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except (OSError, msgspec.DecodeError) as error:
        raise CourtkeeperError(
            f"{path} cannot be read ({error}): remove it and run log_rotation again."
        ) from None


@contextmanager
def locked(directory: Path = DIRECTORY, wait_s: float = LOCK_S) -> Iterator[None]:
    """Hold the duty's lock: a run and logrotate's lastaction must not work on the same files."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with (directory / "lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise CourtkeeperError(
                        f"another log_rotation has worked on this host for {wait_s:g} s: try again later."
                    ) from None
                time.sleep(0.2)
            else:
                break
        yield
