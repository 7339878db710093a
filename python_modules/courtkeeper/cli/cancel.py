"""`courtkeeper cancel RUN|JOB`: end a run, wherever it is driven, or a job's slot that waits."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from courtkeeper.store import Store


def command(
    what: Annotated[
        str, typer.Argument(metavar="RUN|JOB", help="A run (its id, or its end), or a job's name.")
    ],
    inventory: Annotated[
        str | None,
        typer.Option("-i", "--inventory", help="Only of this system.", autocompletion=completion.inventories),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Cancel what runs or waits. Whoever drives it ends its processes, within seconds."""
    checkout = common.checkout(root)
    with stores.opened(checkout) as store:
        done = _cancel(store, what, stores.system_of(checkout, inventory))
    if as_json:
        common.print_json({"cancelled": done})
    else:
        sys.stdout.writelines(f"{common.printable(each)}\n" for each in done)


def _cancel(store: Store, what: str, system: str | None) -> list[str]:
    by, now = common.person(), datetime.now(UTC)
    runs = [row for row in store.queries.running() if system in (None, row.system)]
    slots = [slot for slot in store.slots.open(system=system) if slot.job == what]
    chosen = [
        row for row in runs if row.job == what or row.run_id.startswith(what) or row.run_id.endswith(what)
    ]
    if len({(row.system, row.job) for row in chosen}) > 1 or len({slot.system for slot in slots}) > 1:
        raise ConfigurationError(f"{what!r} is more than one: give a run's whole id, or -i INVENTORY.")
    done = [
        f"{row.run_id} is being ended" for row in chosen if store.people.cancel_run(row.run_id, by=by, at=now)
    ]
    done += [f"{row.run_id} was being ended already" for row in chosen if row.cancel_by]
    done += [
        f"{slot.job} of {slot.scheduled_for:%Y-%m-%d %H:%M} UTC will not begin"
        for slot in slots
        if store.people.cancel_slot(slot.id, by=by, at=now)
    ]
    if not done:
        raise ConfigurationError(f"Nothing that runs or waits is called {what!r}: see `courtkeeper history`.")
    return done
