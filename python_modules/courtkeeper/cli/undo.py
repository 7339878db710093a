"""`courtkeeper undo RUN`: how to take back what a run did; a command is run when it is told to be."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from courtkeeper.undo import Way


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The run: its id, or how that begins or ends.", autocompletion=completion.runs
        ),
    ],
    action: Annotated[
        int | None, typer.Option("--action", help="This one only, by its number.", metavar="N")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run it; else it is only shown.")] = False,
    inventory: Annotated[
        str | None,
        typer.Option(
            "-i", "--inventory", help="The system; else the run's.", autocompletion=completion.inventories
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Show how to take back what a run did, the last thing first. Nothing is run without --action and --yes.

    What is a command (of courtkeeper, or apt-get on a host) can be run from here; statements for a database
    or a cache, and instructions, are for a person who sees what has changed since.

    Exit code 0; 1: the command failed; 2: wrong usage.
    """
    from courtkeeper import undo

    checkout = common.checkout(root)
    with stores.opened(checkout) as store:
        run_id = store.queries.find_run(run).run_id
        page = store.queries.run_page(run_id)
        ways = undo.ways_back(page.actions if page else [])
        if action is None:
            if yes:
                raise ConfigurationError("--yes takes back one thing at a time: name it with --action N.")
            _show(run_id, ways, as_json=as_json)
            return
        way = undo.chosen(ways, action, run_id)
        if not yes:
            _show(run_id, [way], as_json=as_json)
            return
        where = inventory or str(checkout / "inventory" / way.action.system)
        undo.go(undo.to_run(way), checkout, where, aloud=not as_json)
        store.people.mark_undone(way.action.id, by=common.person(), at=datetime.now(UTC))
    if as_json:
        common.print_json({"run_id": run_id, "action": action, "undone": True})
    else:
        sys.stdout.write(f"Taken back: {common.printable(way.action.text)}\n")


def _show(run_id: str, ways: list[Way], *, as_json: bool) -> None:
    if as_json:
        plain = [
            {
                "action": way.number,
                "kind": way.kind,
                "runnable": bool(way.argv),
                "host": way.action.host,
                "subject": way.action.subject,
                "done": way.action.text,
                "undo": way.action.undo,
            }
            for way in ways
        ]
        common.print_json({"run_id": run_id, "ways": plain})
        return
    if not ways:
        sys.stdout.write(f"Of {run_id} there is nothing to take back.\n")
    for way in ways:
        sys.stdout.write(common.printable(f"{way.number:>6}  {way.action.text}") + "\n")
        sys.stdout.write(common.printable(f"        undo {way.where}: {way.action.undo}") + "\n")
        if way.argv:
            sys.stdout.write(f"        courtkeeper undo {run_id} --action {way.number} --yes\n")
