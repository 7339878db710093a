"""The recorded way back: what a node's values were, on disk before anything is set.

One file a node (0600) in the state directory. It is there exactly as long as a change is on its way; a run
that finds one was preceded by a run that did not end. Secrets never come here: they are not tuned.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.redis.tuning.plan import Change


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A change on its way. `step` is `trying` until the gate has spoken, `keeping` once it was for it.

    `run_id` is the server process' own: another one has read its file since, and has lost what was set.
    `began` is ISO 8601, `persist` whether the file is to be written, `rewrites` how often it had been.
    """

    where: str
    run_id: str
    step: Literal["trying", "keeping"]
    began: str
    persist: bool
    changes: tuple[Change, ...]
    rewrites: int = 0
    version: Literal[1] = 1


class NotForgottenError(CourtkeeperError):
    """A change has come to its end, and its entry cannot be removed: the next run finds it ended."""


class Journal:
    """The entries of one state directory."""

    def __init__(self, directory: str) -> None:
        self.directory = Path(directory)

    def find(self, where: str, run_id: str) -> Entry | None:
        """Return what is on its way on a node, under whichever address it was reached; None for nothing.

        Raises CourtkeeperError for an entry that cannot be read: it may be this node's.
        """
        entries = [self._read(path) for path in sorted(self.directory.glob("*.json"))]
        ours = [entry for entry in entries if entry.run_id == run_id or entry.where == where]
        return next(iter(ours), None)

    def _read(self, path: Path) -> Entry:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Entry)
        except (OSError, msgspec.DecodeError) as error:
            raise CourtkeeperError(
                f"{path}, the way back of a change, cannot be read ({error}): compare the server's values "
                "with its file, then remove it"
            ) from error

    def write(self, entry: Entry) -> None:
        """Keep an entry; it is on the disk when this returns. Raises CourtkeeperError."""
        path = self._path(entry.where)
        fresh = path.with_suffix(".new")
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(fresh, flags, 0o600), "wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(msgspec.json.encode(entry))
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(path)
            self._settle()
        except OSError as error:
            raise CourtkeeperError(
                f"the way back cannot be kept in {self.directory} ({error.strerror}): nothing was changed on "
                f"{entry.where}"
            ) from error

    def forget(self, where: str) -> None:
        """The change has come to its end. Raises NotForgottenError."""
        path = self._path(where)
        try:
            path.unlink(missing_ok=True)
            self._settle()
        except OSError as error:
            raise NotForgottenError(
                f"{path}, the way back of a change, cannot be removed ({error.strerror}): mend that, and the "
                "next run removes it"
            ) from error

    def others(self, known: set[str]) -> list[str]:
        """Return the nodes with a change on its way that are none of `known`."""
        found = []
        for path in sorted(self.directory.glob("*.json")):
            try:
                where = msgspec.json.decode(path.read_bytes(), type=Entry).where
            except (OSError, msgspec.DecodeError):
                where = path.name
            if where not in known:
                found.append(where)
        return found

    @contextmanager
    def locked(self, places: Iterable[str]) -> Iterator[None]:
        """Keep other runs away from nodes. Raises CourtkeeperError where one is at work on any of them."""
        with ExitStack() as held:
            for where in sorted(set(places)):
                path = self._path(where).with_suffix(".lock")
                try:
                    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                except OSError as error:
                    raise CourtkeeperError(f"{path} cannot be opened ({error.strerror}): mend it") from error
                held.callback(os.close, handle)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise CourtkeeperError(
                        f"another tuning is at work on {where}: run it again when that one has ended"
                    ) from None
            yield

    def _path(self, where: str) -> Path:
        plain = re.sub(r"[^A-Za-z0-9.-]+", "_", where)[:80]
        return self.directory / f"{plain}-{hashlib.sha256(where.encode()).hexdigest()[:8]}.json"

    def _settle(self) -> None:
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
