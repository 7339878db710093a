"""`courtkeeper report [RUN]`: write a run's report again, and say where it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.findings import ConfigurationError, CourtkeeperError

if TYPE_CHECKING:
    from courtkeeper.store.rows import RunRow


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="[RUN]",
            help="The run: its id, or how that begins or ends. Else the last one.",
            autocompletion=completion.runs,
        ),
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it into this directory.", metavar="DIRECTORY")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Write the report of a run again, as this version of Courtkeeper writes it.

    Exit code 0; 1: it cannot be written; 2: there is no such run, or no more than its summary is kept.
    """
    from courtkeeper.report import write_report
    from courtkeeper.runner.options import shown
    from courtkeeper.runner.store import runs_dir

    checkout = common.checkout(root)
    with stores.opened(checkout) as store:
        run_id = store.queries.find_run(run).run_id if run else _last(store.queries.latest_runs(limit=1).rows)
        page = store.queries.run_page(run_id)
    if page is None or page.record is None:
        raise ConfigurationError(
            f"Of {run_id} no more than a summary is there: `courtkeeper history {run_id}` shows it."
        )
    directory = output or runs_dir(checkout) / run_id
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourtkeeperError(f"{directory} cannot be made: {error.strerror or error}.") from error
    path = write_report(page.record, directory).resolve()
    if as_json:
        common.print_json({"run_id": run_id, "report": str(path), "verdict": page.row.verdict})
    else:
        sys.stdout.write(f"{shown(path, checkout)}\n")
    if show:
        typer.launch(path.as_uri())


def _last(rows: Sequence[RunRow]) -> str:
    if not rows:
        raise ConfigurationError("Nothing has run yet: `courtkeeper run JOB -i INVENTORY`.")
    return rows[0].run_id
