"""What is due: one task for each object, how long it will take, and which comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from courtkeeper.findings import Finding

# Bytes a second, until the first tasks of a kind were measured here. Cautious: about what one spinning disk
# manages beside its other work; a task that a guess puts off is at the front next time.
GUESSED_RATES = {
    "analyze": 40e6,
    "vacuum": 40e6,
    "freeze": 30e6,
    "freeze_multixacts": 30e6,
    "reindex": 15e6,
    "create_index": 10e6,
    "drop_index": 1e9,
    "validate": 80e6,
    "repack": 8e6,
}
_LEAST_S = 0.05
# ANALYZE reads at most 300 pages for each of default_statistics_target's 100 (documentation of ANALYZE).
ANALYZE_BYTES = 300 * 100 * 8192

NOTHING_TO_UNDO = "-- nothing to take back: the definition is the same"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do to one object, by `statements`, because of what a check `found`.

    `kind` is what its speed is known by, `relation` whose size is measured (empty: nothing's), `disk` how
    many bytes it takes for each byte of the relation while it runs. A lower `rank` is more urgent. `needs`
    are the keys of tasks that must have been done before; `program` is a command
    line to run (pg_repack's). `help` is what to do where it is of no
    avail, `note` what the history is to hold beside it.
    """

    kind: str
    rank: int
    text: str
    statements: tuple[str, ...]
    found: Finding
    relation: str = ""
    disk: float = 0.0
    undo: str = NOTHING_TO_UNDO
    help: str = ""
    note: str = ""
    needs: tuple[tuple[str, str], ...] = ()
    program: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """Return the object, as the check calls it."""
        return self.found.subject

    @property
    def key(self) -> tuple[str, str]:
        """Return what identifies the task from run to run."""
        return self.kind, self.subject


def seconds_for(task: Task, size: int, rates: Mapping[str, float]) -> float:
    """Return how long a task on a relation of `size` bytes will take, by the rates measured before."""
    size = min(size, ANALYZE_BYTES) if task.kind == "analyze" else size
    rate = rates.get(task.kind) or GUESSED_RATES.get(task.kind, 1e9)
    return max(_LEAST_S, size / rate)


def ordered(tasks: Iterable[Task], deferred: Mapping[tuple[str, str], int]) -> list[Task]:
    """Return tasks with the most urgent first.

    A task moves up one rank for each time in a row that it did not fit, so that a small window does not
    leave the same ones out for ever; but never before those of rank 0, which ward off a standstill.
    """

    def place(task: Task) -> tuple[int, int, str]:
        times = deferred.get(task.key, 0)
        rank = max(1, task.rank - times) if task.rank else 0
        # What waits for others stays behind them, however long it has waited.
        return (task.rank if task.needs else rank, -times, task.subject)

    return sorted(tasks, key=place)
