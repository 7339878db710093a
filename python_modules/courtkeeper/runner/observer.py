"""Who hears of a run while it goes."""

from __future__ import annotations

from courtkeeper.runner.record import RunRecord


class Observer:
    """Hears of a run while it goes. Its methods must be quick and must not raise: the run waits for them."""

    def began(self, record: RunRecord) -> None:
        """Hear that the run has begun; `record` goes on changing."""

    def printed(self, line: str) -> None:
        """Hear what it prints."""

    def ended(self, record: RunRecord) -> None:
        """Hear what came of it; `record` is complete."""
