"""What a source gives: steps, each of which becomes one sealed part, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from courtkeeper.findings import CourtkeeperError, Finding
from courtkeeper.vault.manifest import PartKind
from courtkeeper.vault.pipe import Produce


class SourceError(CourtkeeperError):
    """A source could not be read to its good end. `again`: another try may well succeed."""

    def __init__(self, message: str, *, again: bool = False) -> None:
        super().__init__(message)
        self.again = again


def _nothing() -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Step:
    """One part to be: `produce` writes its plain bytes, `describe`, called after it, the rest of its Part.

    `name` is the object's (`nba.dump.zst.age`), `expected` about how many plain bytes there are (0: unknown).
    Either raises SourceError where the part is not good.
    """

    name: str
    kind: PartKind
    expected: int
    produce: Produce
    describe: Callable[[], dict[str, Any]] = _nothing


@dataclass
class Facts:
    """What a source says of itself, filled while it is read."""

    software: dict[str, str] = field(default_factory=dict)
    server: dict[str, str] = field(default_factory=dict)
    recovery_settings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Session(Protocol):
    """A source that is being read."""

    facts: Facts

    def steps(self) -> Iterator[Step]:
        """Yield the parts, in the order in which they are read; each is read before the next is asked for."""


class Source(Protocol):
    """Something that can be backed up."""

    def open(self) -> AbstractContextManager[Session]:
        """Begin to read. Raises SourceError or ConfigurationError; nothing of the source is changed."""

    def plan(self) -> list[str]:
        """Say what would be read, one sentence a part. Raises as `open` does."""
