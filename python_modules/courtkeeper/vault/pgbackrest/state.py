"""What runs on a stanza remember for the next: when its files were read, and how fast restores were."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.lock import BusyError, unopened
from courtkeeper.vault.pgbackrest.owner import entry
from courtkeeper.vault.pgbackrest.settings import Stanza

_MOST_BYTES = 1 << 20
_RATES = 20
_FILES = 50


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """When a repository was read whole, and what came of it; `good` is None where it could not be."""

    at: datetime
    good: bool | None
    files: tuple[str, ...] = ()
    log_lost: int = 0
    problem: str = ""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How long restoring so much took: `seconds` until the server could be written to."""

    at: datetime
    size: int
    seconds: float


class State(msgspec.Struct, kw_only=True):
    """`verified` by the number of a repository."""

    verified: dict[str, Reading] = msgspec.field(default_factory=dict)
    rates: list[Rate] = msgspec.field(default_factory=list)

    def read(self, repository: int, reading: Reading) -> None:
        """Note a reading; of its files only so many are kept that a person looks at."""
        self.verified[str(repository)] = msgspec.structs.replace(reading, files=reading.files[:_FILES])

    def restored(self, rate: Rate) -> None:
        """Note how fast a restore was."""
        self.rates = [*self.rates, rate][-_RATES:]


def load(stanza: Stanza) -> State:
    """Return what is remembered; nothing where nothing is, or where it cannot be read."""
    path = path_of(stanza, "json")
    if path is not None:
        with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError, RecursionError):
            if path.stat().st_size <= _MOST_BYTES:
                return msgspec.json.decode(path.read_bytes(), type=State)
    return State()


def save(stanza: Stanza, state: State) -> None:
    """Write what is remembered, whole. Raises ConfigurationError."""
    if stanza.state_directory:
        write(stanza, "json", msgspec.json.encode(state) + b"\n")


def write(stanza: Stanza, ending: str, content: bytes) -> None:
    """Write a file of the state directory whole or not at all, as the owner's. Raises ConfigurationError."""
    path = Path(stanza.state_directory, f"{stanza.name}.{ending}")
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a killed run, maybe of another user's
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(part, flags, 0o640)
        with os.fdopen(descriptor, "wb") as stream:
            _hand_over(descriptor, stanza)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}): mend state_directory"
        ) from error


@contextlib.contextmanager
def alone(stanza: Stanza, work: str = "") -> Iterator[None]:
    """Hold the stanza's lock, which ends with us however we end.

    Raises BusyError if somebody has it, ConfigurationError where its file cannot be opened.
    """
    path = path_of(stanza, f"{work}.lock" if work else "lock")
    if path is None:
        yield
        return
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o640)
    except OSError as error:
        raise unopened(path, error) from error
    with os.fdopen(descriptor, "r+") as stream:
        _hand_over(stream.fileno(), stanza)
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another {work or 'run'} on the stanza {stanza.name} is at work (it holds {path}): "
                "wait for its end"
            ) from None
        yield


def path_of(stanza: Stanza, ending: str) -> Path | None:
    """Return a file of the stanza's in the state directory; None where it has none."""
    return Path(stanza.state_directory, f"{stanza.name}.{ending}") if stanza.state_directory else None


def _hand_over(descriptor: int, stanza: Stanza) -> None:
    """Let a file that root makes be the owner's, who works on the stanza as well."""
    if who := entry(stanza.owner):
        os.fchown(descriptor, who.pw_uid, who.pw_gid)
