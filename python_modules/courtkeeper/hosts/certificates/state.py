"""What a run leaves for the next: tries at the CA, its advice, which CA it was. Written whole or not."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.certificates.ari import Advice
from courtkeeper.hosts.certificates.due import DAY, Try


class Known(msgspec.Struct):
    """What is known of one certificate: `issuer` is the directory it came from, `error` the last failure."""

    tries: list[Try] = []
    error: str = ""
    issuer: str = ""
    advice: Advice | None = None


class State(msgspec.Struct):
    """The whole file."""

    version: int = 1
    certificates: dict[str, Known] = {}

    def of(self, name: str) -> Known:
        """Return what is known of a certificate, to read and to change."""
        return self.certificates.setdefault(name, Known())


def parse(data: bytes) -> State:
    """Return the state in `data`; what cannot be read is forgotten: it can be found out again."""
    try:
        state = msgspec.json.decode(data, type=State)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return State()
    moments = [tried.at for known in state.certificates.values() for tried in known.tries]
    moments += [known.advice.ask_again for known in state.certificates.values() if known.advice]
    return State() if any(moment.tzinfo is None for moment in moments) else state


def load(directory: Path) -> State:
    """Return the state kept in `directory`."""
    try:
        return parse((directory / "state.json").read_bytes())
    except FileNotFoundError:
        return State()


def save(directory: Path, state: State, *, now: datetime) -> None:
    """Keep `state` in `directory`, without tries that no longer count."""
    for known in state.certificates.values():
        # A wait is a day at the most, and the longest series of failures is told by a week of tries.
        known.tries = [tried for tried in known.tries if now - tried.at < 7 * DAY]
    write(directory / "state.json", msgspec.json.encode(state))


def write(path: Path, content: bytes, *, mode: int = 0o600, uid: int = -1, gid: int = -1) -> None:
    """Write `content` to `path` by rename, so that a reader sees the old file or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            # Whose it is before it holds anything: a key is never open to others, not even for a moment.
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
        Path(name).rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Have `directory` (0700) and be the only run in it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    with (directory / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CourtkeeperError(
                "Another certificate_renewal is at work on this host: try again when it has ended."
            ) from None
        yield
