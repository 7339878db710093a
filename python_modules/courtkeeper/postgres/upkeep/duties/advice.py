"""What only a person can plan is said, with its remedy."""

from __future__ import annotations

from collections.abc import Iterator

from courtkeeper.findings import Finding
from courtkeeper.postgres.check import Context
from courtkeeper.postgres.checks.capacity.sequence import FullSequence
from courtkeeper.postgres.upkeep.duty import Duty
from courtkeeper.postgres.upkeep.task import Task


class Sequences(Duty[FullSequence]):
    """To make a column bigint rewrites its table under an exclusive lock: that is for a person to plan."""

    name = "sequences"
    asks = "capacity.sequence"

    def find(self, context: Context) -> Iterator[Task | Finding]:
        """Hand the check's findings on."""
        yield from self.check.search(context)
