"""`courtkeeper calendar gate`: what other engines ask before they start a job."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common
from courtkeeper.cli.calendar_common import calendar_of, print_json
from courtkeeper.cli.options import InventoryOption, JsonOption, RootOption
from courtkeeper.findings import ConfigurationError, CourtkeeperError

if TYPE_CHECKING:
    from courtkeeper.calendar.load import Loaded
    from courtkeeper.store import Store

# Another machine's clock may be a little ahead.
_EARLY = timedelta(seconds=5)


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("gate", short_help="Say whether a job may begin now.")(gate)


def gate(
    job: Annotated[str, typer.Argument(metavar="JOB", help="A job of the calendar.")],
    inventory: InventoryOption,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Say whether a job may begin now, for engines that only know the time.

    It may where it is due, nobody holds it, no blackout is on, its window is open, and what must have passed
    before has: `courtkeeper calendar gate JOB -i … && courtkeeper run JOB -i …`.

    Exit code 0: it may. 1: not now. 2: wrong usage, the job is broken, or the store cannot be asked.
    """
    try:
        reason = _asked(job, inventory, root)
    except CourtkeeperError as error:
        # Its 1 would mean "not now": the engine would leave the job out and sound no alarm.
        raise ConfigurationError(str(error)) from error
    if as_json:
        print_json({"job": job, "open": not reason, "reason": reason})
    elif reason:
        sys.stderr.write(f"courtkeeper: {job} does not begin: {common.printable(reason)}.\n")
    sys.exit(common.FAILED if reason else 0)


def _asked(job: str, inventory: str, root: str | None) -> str:
    from courtkeeper.runner.options import find_inventory
    from courtkeeper.store import open_store

    loaded = calendar_of(inventory, root)
    loaded.job(job)
    checkout = common.checkout(root)
    with open_store(checkout) as store:
        system = find_inventory(checkout, inventory).name
        return closed(loaded, job, system, store, datetime.now(UTC))


def closed(loaded: Loaded, name: str, system: str, store: Store, now: datetime) -> str:
    """Return why a job may not begin now; empty if it may."""
    from courtkeeper.calendar.plan import obstacle

    job = loaded.job(name)
    if not job.enabled:
        return "it is disabled"
    if next(loaded.schedules[name].between(now - job.grace, now + _EARLY), None) is None:
        return f"it was not due within the last {job.grace_minutes} min, which is its grace"
    for hold in store.people.holds(system=system):
        if hold.job in ("", name) and (hold.until is None or hold.until > now):
            return f"{hold.by} holds it" + (f": {hold.reason}" if hold.reason else "")
    if stands := obstacle(loaded, job, now):
        return f"{stands.sentence}, until {stands.until:%d %B %Y %H:%M} UTC"
    for each in job.after:
        passed = store.slots.last_passed(system, each.job)
        if passed is None or passed < now - each.within:
            return f"{each.job} has not passed within {each.within_hours:g} h"
    return ""
