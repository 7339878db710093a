"""`courtkeeper history [RUN]`: what ran, the latest first, or one run closely."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from rich.console import Console

    from courtkeeper.runner.record import RunStatus
    from courtkeeper.store import Store
    from courtkeeper.store.rows import RunPage, RunRow

_MOST_ACTIONS = 20


def command(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="One run: its id, or how that begins or ends, or a job: its last.",
            autocompletion=completion.runs,
        ),
    ] = None,
    inventory: Annotated[
        str | None,
        typer.Option("-i", "--inventory", help="Only of this system.", autocompletion=completion.inventories),
    ] = None,
    job: Annotated[
        str | None, typer.Option("--job", help="Only of this job.", autocompletion=completion.jobs)
    ] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only these: ok, failed, running …")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many.")] = 20,
    after: Annotated[str, typer.Option("--after", help="Go on after a page: its `next`.")] = "",
    output: Annotated[bool, typer.Option("--output", help="Print what that run printed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Show what ran, the latest first, or one run closely."""
    checkout = common.checkout(root)
    with stores.opened(checkout) as store:
        if run is not None:
            _one(store, run, output=output, as_json=as_json)
            return
        page = store.queries.latest_runs(
            system=stores.system_of(checkout, inventory),
            job=job,
            status=_status(status),
            limit=limit,
            after=after,
        )
        if as_json:
            common.print_json(page)
        else:
            _table(page.rows, page.next)


def _status(word: str | None) -> RunStatus | None:
    from courtkeeper.runner.record import RunStatus

    if word is None:
        return None
    try:
        return RunStatus(word)
    except ValueError:
        raise ConfigurationError(
            f"{word[:40]!r} is no status of a run: there are {', '.join(RunStatus)}."
        ) from None


def _one(store: Store, word: str, *, output: bool, as_json: bool) -> None:
    run_id = store.queries.find_run(word).run_id
    if output:
        after = -1
        while batches := store.queries.output(run_id, after=after):
            sys.stdout.writelines(common.printable(batch.text) for batch in batches)
            after = batches[-1].seq
        return
    page = store.queries.run_page(run_id)
    if page is None:  # retention was quicker
        raise ConfigurationError(f"There is no run {run_id!r} any more.")
    if as_json:
        common.print_json(page)
    else:
        _closely(page)


def _table(rows: list[RunRow], following: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from courtkeeper.cli.findings import COLOURS, line

    console = _console()
    if not rows:
        line(console, "Nothing has run yet: `courtkeeper run JOB -i INVENTORY`.")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("began (UTC)", "job", "system", "verdict", "took", "hosts", "findings", "run"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        word = row.verdict.upper()
        bad = f"{row.findings_crit} crit, {row.findings_warn} warn"
        table.add_row(
            f"{row.started_at:%Y-%m-%d %H:%M:%S}",
            Text(row.job + (" (check)" if row.check_mode else "")),
            Text(row.system),
            Text(word, COLOURS.get(word, "bold")),
            "" if row.duration_s is None else f"{row.duration_s:.0f} s",
            f"{row.hosts - row.hosts_bad}/{row.hosts}",
            bad if row.findings_crit or row.findings_warn else "",
            Text(row.run_id),
        )
    console.print(table, soft_wrap=True)
    if following:
        line(console, f"More: --after {following}")


def _closely(page: RunPage) -> None:
    from courtkeeper.cli import findings

    console, row = _console(), page.row
    took = "" if row.duration_s is None else f", {row.duration_s:.1f} s"
    findings.line(
        console,
        f"{row.verdict.upper()}  {row.job} on {row.system}, {row.started_at:%Y-%m-%d %H:%M:%S} UTC{took}",
    )
    if row.message:
        findings.line(console, row.message)
    for host in page.hosts:
        counts = f"{host.ok} ok, {host.changed} changed, {host.failed} failed, {host.unreachable} unreachable"
        findings.line(console, f"  {host.host}: {counts}")
    if page.record is not None:
        findings.show(console, (each.finding for each in page.record.findings), most_ok=12)
    for action in page.actions[:_MOST_ACTIONS]:
        undo = f"   (undo: {action.undo})" if action.undo else ""
        findings.line(console, f"  {action.text}{undo}")
    if len(page.actions) > _MOST_ACTIONS:
        findings.line(console, f"  and {len(page.actions) - _MOST_ACTIONS} more")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)  # a pipe has no width
