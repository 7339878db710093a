"""What was changed and how it was before: /var/lib/courtkeeper/redis_host/state.json, for root only.

It is written before the first change. A run that was killed therefore needs no repair of its own: the next
one finishes what it is told, and taking back knows every value there was.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts import files

DIRECTORY = Path("/var/lib/courtkeeper/redis_host")


class Kept(msgspec.Struct, frozen=True):
    """A setting of the kernel before our first change, and what we set it to last."""

    before: str
    ours: str


class State(msgspec.Struct, frozen=True):
    """The settings that are ours by name, and the limits that are ours by unit."""

    kernel: dict[str, Kept] = {}
    units: dict[str, int] = {}


def read(directory: Path) -> State:
    """Return what the last run wrote. Raises CourtkeeperError for a damaged file."""
    path = directory / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CourtkeeperError(
            f"{path} cannot be read ({error}): it holds the values before our changes; mend or remove it"
        ) from None


def write(directory: Path, state: State) -> None:
    """Write the state whole. Raises OSError."""
    files.write(directory / "state.json", msgspec.json.format(msgspec.json.encode(state)))


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Have the host to oneself. Raises CourtkeeperError where another run is at work."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        stream = (directory / "lock").open("a")
    except OSError as error:
        raise CourtkeeperError(
            f"{directory} cannot be used ({error.strerror}): nothing was changed"
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CourtkeeperError(
                "another run of redis_host is at work on this host: let it finish, then run again"
            ) from None
        yield
