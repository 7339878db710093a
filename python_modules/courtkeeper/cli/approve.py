"""`courtkeeper approve JOB -i INVENTORY`: let a job begin that waits for a person's word."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.findings import ConfigurationError


def command(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB", help="A job of the system's calendar.", autocompletion=completion.calendar_jobs
        ),
    ],
    inventory: Annotated[
        str,
        typer.Option(
            "-i", "--inventory", help="The system: a directory.", autocompletion=completion.inventories
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option("--at", help="Which slot, as 2026-03-02T01:00Z; else the one that waits, or the next."),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="What the audit log should know.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Let one slot of a job begin that waits for a person."""
    from courtkeeper.calendar.load import load
    from courtkeeper.runner.options import find_inventory

    checkout = common.checkout(root)
    directory = find_inventory(checkout, inventory)
    loaded = load(directory, checkout)
    known = loaded.job(job)
    if not known.approval:
        raise ConfigurationError(f"{job} waits for nobody's approval: it begins by itself.")
    now = datetime.now(UTC)
    schedule = loaded.schedules[job]
    with stores.opened(checkout) as store:
        if at is not None:
            wanted = stores.instant(at)
            if schedule.after(wanted - timedelta(microseconds=1)) != wanted:
                raise ConfigurationError(
                    f"{job} has no slot at {at}: `courtkeeper calendar next` lists them."
                )
        else:
            waiting = [slot for slot in store.slots.open(system=directory.name) if slot.job == job]
            following = schedule.after(now)
            if not waiting and following is None:
                raise ConfigurationError(f"{job} does not run again: see its schedule.")
            wanted = waiting[0].scheduled_for if waiting else following  # type: ignore[assignment]
        fresh = store.people.approve(directory.name, job, wanted, by=common.person(), at=now, note=note)
    if as_json:
        common.print_json({"job": job, "scheduled_for": wanted, "approved": True, "new": fresh})
    else:
        word = "Approved" if fresh else "Was approved already"
        sys.stdout.write(f"{word}: {job} of {wanted:%Y-%m-%d %H:%M} UTC.\n")
