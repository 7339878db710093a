"""A fake executor: it runs nothing and says what it is told to, because thousands of playbooks take hours."""

from __future__ import annotations

from dataclasses import dataclass, field

from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler.executor import Finished, Order


@dataclass
class FakeExecutor:
    """`started` has every order; `end` ends one, `ends` says how those end that end at once."""

    ends: RunStatus | None = RunStatus.OK
    started: list[Order] = field(default_factory=list)
    cancelled: list[tuple[str, str]] = field(default_factory=list)
    left: dict[str, Finished] = field(default_factory=dict)
    _ended: list[Finished] = field(default_factory=list)

    def start(self, order: Order) -> None:
        self.started.append(order)
        if self.ends is not None:
            self.end(order, self.ends)

    def end(self, order: Order, status: RunStatus, message: str = "", limit: str = "") -> None:
        self._ended.append(Finished(run_id=order.run_id, status=status, message=message, limit=limit))

    def cancel(self, run_id: str, reason: str) -> None:
        self.cancelled.append((run_id, reason))
        self._ended.append(
            Finished(run_id=run_id, status=RunStatus.CANCELLED, message=f"Cancelled {reason}.")
        )

    def finished(self) -> list[Finished]:
        found, self._ended = self._ended, []
        return found

    def became(self, run_id: str) -> Finished | None:
        return self.left.get(run_id)
