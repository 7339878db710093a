"""Closing what a scheduler left that died: each of its slots gets an end, or another attempt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from courtkeeper.calendar.load import Loaded
from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler.executor import Executor, Order
from courtkeeper.scheduler.settling import outcome
from courtkeeper.store import slots as store_slots
from courtkeeper.store.identity import Identity
from courtkeeper.store.rows import OwnerRow, SlotRow
from courtkeeper.store.slots import Ended, Outcome
from courtkeeper.store.states import SlotState
from courtkeeper.store.store import Store


def close(
    store: Store,
    executor: Executor,
    dead: OwnerRow,
    me: Identity,
    loaded: Loaded,
    now: datetime,
    say: Callable[[str], None],
) -> None:
    """Close what `dead` left, all at once; of several who notice, one does.

    On this machine the executor knows what came of each run: it ends what is left of it. A slot of which
    nothing was begun is missed. What ran on another machine may still run there: those slots are lost.
    """
    here = dead.machine == me.machine
    left = store.slots.of_owner(dead.owner)
    ends = {slot.id: _here(executor, slot, loaded, now) if here else _elsewhere(dead, now) for slot in left}
    running = [run.run_id for run in store.queries.running() if run.owner == dead.owner] if here else []
    for run_id in running:
        if executor.became(run_id) is None:
            store.recording.abandon(run_id, "Its driver died, and its files are gone.", now)
    with store.database.alone() as connection:
        if not store.owners.end(connection, dead.owner, f"found dead by {me.owner}"):
            return
        ended = [Ended(slot.id, slot.run_id, ends[slot.id]) for slot in left]
        store_slots.settle(connection, dead.owner, ended)
    if left:
        names = ", ".join(sorted({slot.job for slot in left}))
        say(f"The {dead.kind} {dead.owner} died while it ran {names}: its slots were closed.")


def _here(executor: Executor, slot: SlotRow, loaded: Loaded, now: datetime) -> Outcome:
    done = executor.became(slot.run_id)
    if done is None:
        return Outcome(state=SlotState.MISSED, reason="its scheduler died before it began", at=now)
    job = next((job for job in loaded.jobs if job.name == slot.job), None)
    if job is None:
        state = SlotState.OK if done.status is RunStatus.OK else SlotState.FAILED
        return Outcome(state=state, reason=done.message, at=now)
    order = Order(
        job=job,
        slot=slot.id,
        scheduled_for=slot.scheduled_for,
        attempt=slot.attempt,
        run_id=slot.run_id,
        trigger=slot.trigger,
    )
    return outcome(order, done, loaded, now)


def _elsewhere(dead: OwnerRow, now: datetime) -> Outcome:
    since = f"{dead.lease_until:%Y-%m-%d %H:%M:%S} UTC"
    reason = f"its scheduler on {dead.machine} was not heard from before {since}; it may still run there"
    return Outcome(state=SlotState.LOST, reason=reason, at=now)
