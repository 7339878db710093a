"""A person's run on its way into the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from courtkeeper.findings import CourtkeeperError
from courtkeeper.runner.options import RunOptions, find_inventory
from courtkeeper.runner.processes import Cancellation

if TYPE_CHECKING:
    from courtkeeper.store import Store
    from courtkeeper.store.sink import Sink


@contextmanager
def in_store(options: RunOptions, locks: tuple[str, ...], cancel: Cancellation) -> Iterator[Sink]:
    """Yield what takes the run into the store. A store that cannot be used does not keep a person from it.

    Raises CourtkeeperError where something that the job needs is held by another run.
    """
    from courtkeeper.store.identity import Origin, identify
    from courtkeeper.store.sink import Sink

    me = identify()
    known: list[Store] = []

    def opened() -> Store:
        if not known:
            from courtkeeper.store import open_store

            known.append(open_store(options.root))
        return known[0]

    if locks:
        try:
            store = opened()
            store.owners.register(me, "person")
        except CourtkeeperError:
            locks = ()  # the sink meets the same trouble, and says so
    if locks:
        system = find_inventory(options.root, options.inventory).name
        now = datetime.now(UTC)
        holder = f"{options.name}, which a person began at {now:%H:%M} UTC"
        if held := store.owners.lock(system, locks, me, holder, now):
            store.owners.leave(me)
            raise CourtkeeperError(f"{held}: wait for it, or cancel it.")
    origin = Origin(owner=me.owner)
    try:
        with Sink(opened, origin, person=me, cancel=cancel) as sink:
            yield sink
    finally:
        if known:
            known[0].close()
