"""What becomes of a slot once an attempt has ended: its end, or another attempt."""

from __future__ import annotations

from datetime import datetime

from courtkeeper.calendar.load import Loaded
from courtkeeper.calendar.model import Job
from courtkeeper.calendar.plan import obstacle
from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler.executor import Finished, Order
from courtkeeper.store.slots import Outcome
from courtkeeper.store.states import SlotState

_STATES = {RunStatus.OK: SlotState.OK, RunStatus.CANCELLED: SlotState.CANCELLED}
_TRIED_AGAIN = {RunStatus.FAILED, RunStatus.TIMEOUT}


def outcome(order: Order, done: Finished, loaded: Loaded, now: datetime) -> Outcome:
    """Return what to store of an attempt: its end, or when the next one begins and on which hosts."""
    state = _STATES.get(done.status, SlotState.FAILED)
    if done.status in _TRIED_AGAIN:
        again = retry(order.job, order.attempt, loaded, now)
        if isinstance(again, datetime):
            return Outcome(
                state=SlotState.RETRYING,
                reason=f"attempt {order.attempt} failed: {done.message}",
                at=now,
                retry_at=again,
                deadline=again + order.job.grace,
                options={"limit": done.limit, "check": order.check},
            )
        return Outcome(state=state, reason=f"{done.message} {again}".strip(), at=now)
    return Outcome(state=state, reason=done.message, at=now)


def retry(job: Job, attempts: int, loaded: Loaded, now: datetime) -> datetime | str:
    """Return when a job is tried again after `attempts` failed ones, or why not."""
    if attempts > job.retries.times:
        return f"It was tried {attempts} times." if attempts > 1 else ""
    at = now + job.retries.delay(attempts)
    if job.name in loaded.windows and (found := obstacle(loaded, job, at)):
        return f"It is not tried again: at {at:%H:%M} UTC it would be in a {found.sentence}."
    return at
