"""What every destination can do, and how it says why it could not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from courtkeeper.findings import CourtkeeperError

# Why a destination did not do what it was asked. `denied` and `missing_place` are wrong settings, `full`,
# `unreachable` and `busy` may pass by themselves, `damaged` is an object that is not what was stored.
Why = Literal["denied", "missing", "missing_place", "full", "unreachable", "busy", "damaged", "other"]


class DestinationError(CourtkeeperError):
    """A destination could not do what it was asked. The message names it; `why` is for programs."""

    def __init__(self, message: str, why: Why = "other") -> None:
        super().__init__(message)
        self.why: Why = why


class MissingError(DestinationError):
    """There is no such object."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "missing")


class Stored(msgspec.Struct, frozen=True):
    """One object: key (`nba/database/<id>/manifest.json`), size in bytes, and when it was put."""

    key: str
    size: int
    modified: datetime


class Upload(Protocol):
    """An object that is being written, and that nobody sees before `commit`.

    Calls come from one thread. After `abort` or a failed call nothing is left but what `sweep` removes.
    """

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises DestinationError."""

    def commit(self) -> None:
        """Make the object visible, whole and safe on disk. Raises DestinationError: then it is not."""

    def abort(self) -> None:
        """Give up what was written; never raises."""


class Destination(Protocol):
    """A place for objects. All methods raise DestinationError, whose message names the destination."""

    @property
    def name(self) -> str:
        """The name that the settings give it."""

    @property
    def where(self) -> str:
        """A path or `s3://bucket/prefix`, for people; no secret in it."""

    def prepare(self) -> None:
        """See that it can be written to, and make what a first backup needs."""

    def begin(self, key: str, expected: int) -> Upload:
        """Begin an object of about `expected` bytes (0: unknown)."""

    def put(self, key: str, content: bytes) -> None:
        """Store a small object at once: whole and durable, or not at all."""

    def read(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield an object's bytes, or a range of them, in chunks. Raises MissingError where there is none.

        A stream that ends before its object does raises DestinationError (`unreachable`).
        """

    def listing(self, prefix: str) -> Iterator[Stored]:
        """Yield the objects whose keys begin with `prefix`, in the order of their keys."""

    def stat(self, key: str) -> Stored | None:
        """Return one object's facts; None if there is no such object."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def sweep(self, prefix: str, older_than_s: float) -> list[str]:
        """Remove what uploads left that were killed; return what it was."""


def content(destination: Destination, key: str, most: int) -> bytes:
    """Return a whole small object. Raises DestinationError (`damaged`) if it has more than `most` bytes."""
    found = bytearray()
    for chunk in destination.read(key):
        found += chunk
        if len(found) > most:
            raise DestinationError(
                f"{key} on {destination.name} is larger than such an object can be", "damaged"
            )
    return bytes(found)
