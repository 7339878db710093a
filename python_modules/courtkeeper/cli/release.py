"""`courtkeeper release NUMBER`: end a hold."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer

from courtkeeper.cli import common, stores
from courtkeeper.cli.hold import what
from courtkeeper.cli.options import JsonOption, RootOption
from courtkeeper.findings import ConfigurationError


def command(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="The hold's, as --list shows it.")],
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """End a hold: what it kept begins as its schedule says, and what waited, as soon as it may.

    Exit code 0; 2: there is no such hold, or it ended already.
    """
    with stores.opened(common.checkout(root)) as store:
        found = next((row for row in store.people.holds() if row.id == number), None)
        if found is None or not store.people.release(number, by=common.person(), at=datetime.now(UTC)):
            raise ConfigurationError(
                f"There is no hold {number}, or it ended already: see `courtkeeper hold -i INVENTORY --list`."
            )
    if as_json:
        common.print_json({"released": found})
    else:
        sys.stdout.write(f"{common.printable(f'Released: {what(found)}')}.\n")
