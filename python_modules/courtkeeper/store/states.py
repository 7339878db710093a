"""What can become of a slot."""

from __future__ import annotations

from enum import StrEnum


class SlotState(StrEnum):
    """Where a slot stands. The first four are on their way, the others are its end."""

    WAITING = "waiting"  # it is due and may begin as soon as nothing is in its way
    LATE = "late"  # the same, for longer than a minute: `reason` says what is in its way
    RETRYING = "retrying"  # an attempt failed; the next one begins at `not_before`
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    MISSED = "missed"  # it never began: `reason` says why
    LOST = "lost"  # its scheduler, on another machine, was not heard from again

    @property
    def finished(self) -> bool:
        """Whether nothing more will become of it."""
        return self not in _OPEN


_OPEN = frozenset({SlotState.WAITING, SlotState.LATE, SlotState.RETRYING, SlotState.RUNNING})
WAITING = (SlotState.WAITING, SlotState.LATE, SlotState.RETRYING)
