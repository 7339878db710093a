"""`courtkeeper hold [JOB] -i INVENTORY`: keep a job, or all of a system's, from beginning."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.cli.options import InventoryOption, JsonOption, RootOption

if TYPE_CHECKING:
    from courtkeeper.store.rows import HoldRow


def command(
    inventory: InventoryOption,
    job: Annotated[
        str,
        typer.Argument(
            metavar="[JOB]",
            help="A job of the system's calendar; none: every job.",
            autocompletion=completion.calendar_jobs,
        ),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever wonders.")] = "",
    hours: Annotated[
        float | None, typer.Option("--hours", min=0.01, help="For so long; else until it is released.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show what is held, and hold nothing more.")] = False,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Keep a job of a system from beginning; without a job, all of them.

    It counts for the scheduler, for `calendar gate` and for the dashboard, not for a person's `courtkeeper
    run`. What runs goes on: `courtkeeper cancel` ends it. Exit code 0; 2: wrong usage or configuration.
    """
    from courtkeeper.calendar.load import load
    from courtkeeper.runner.options import find_inventory

    checkout = common.checkout(root)
    directory = find_inventory(checkout, inventory)
    if job:
        load(directory, checkout).job(job)
    now = datetime.now(UTC)
    with stores.opened(checkout) as store:
        if not show:
            until = now + timedelta(hours=hours) if hours else None
            number = store.people.hold(
                directory.name, job, by=common.person(), at=now, reason=reason, until=until
            )
        held = [row for row in store.people.holds(system=directory.name) if not row.until or row.until > now]
    if not show:
        held = [row for row in held if row.id == number]
    if as_json:
        common.print_json({"system": directory.name, "holds": held})
        return
    if not held:
        sys.stdout.write(f"Nothing is held on {directory.name}.\n")
    for row in held:
        sys.stdout.write(f"{common.printable(_sentence(row))}\n")


def _sentence(row: HoldRow) -> str:
    until = f"until {row.until:%Y-%m-%d %H:%M} UTC" if row.until else "until it is released"
    why = f": {row.reason}" if row.reason else ""
    return f"Held: {what(row)} {until}, by {row.by}{why} (courtkeeper release {row.id})."


def what(row: HoldRow) -> str:
    """Return what a hold is about."""
    return f"{row.job or 'every job'} of {row.system}"
