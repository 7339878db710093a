"""The commands that other engines run: the gate, and the job."""

from __future__ import annotations

from dataclasses import dataclass

from courtkeeper.calendar.model import Job


@dataclass(frozen=True, slots=True)
class Place:
    """Where the jobs run: the checkout's directory there, the program, and the inventory below it."""

    directory: str
    program: str
    inventory: str

    @property
    def system(self) -> str:
        """The inventory's name."""
        return self.inventory.rstrip("/").rpartition("/")[2]


def run(job: Job, place: Place) -> list[str]:
    """Return the words of the command that runs the job as the calendar has it, and holds its locks."""
    return [place.program, "run", job.name, "-i", place.inventory, "--quiet"]


def gate(job: Job, place: Place) -> list[str]:
    """Return the words of the command that ends with 0 where the job may begin now, with 1 where not."""
    return [place.program, "calendar", "gate", job.name, "-i", place.inventory]
