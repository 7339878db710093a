"""`courtkeeper doctor`: is this installation whole, and what mends it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from courtkeeper.cli import common, completion
from courtkeeper.findings import Status, by_severity, worst


def command(
    inventory: Annotated[
        str | None,
        typer.Option(
            "-i",
            "--inventory",
            help="Only this system; else every one.",
            autocompletion=completion.inventories,
        ),
    ] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Show the good findings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Check the installation: programs, keys, the store, the calendar, whom it tells. It changes nothing.

    Exit code 0: nothing critical. 2: wrong usage. 3: something that has to be mended.
    """
    from courtkeeper.doctor import Patient, examine
    from courtkeeper.runner.options import find_inventory

    checkout = common.checkout(root)
    if inventory is not None:
        inventories = [find_inventory(checkout, inventory)]
    else:
        inventories = sorted({path.parent for path in checkout.glob("inventory/*/hosts*")})
    found = by_severity(examine(Patient(checkout, inventories, datetime.now(UTC))))
    if as_json:
        common.print_json({"status": worst(found), "findings": found})
    else:
        from rich.console import Console

        from courtkeeper.cli import findings

        console = Console(highlight=False)
        findings.line(console, findings.counted(found))
        findings.show(console, found, most_ok=sys.maxsize if show_all else 0)
    sys.exit(common.CRITICAL if worst(found) is Status.CRIT else 0)
