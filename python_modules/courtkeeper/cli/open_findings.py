"""`courtkeeper findings`: what is wrong, the worst first, and since when."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.findings import ConfigurationError, Status

if TYPE_CHECKING:
    from rich.console import Console

    from courtkeeper.store.rows import SpanRow


def command(
    everything: Annotated[bool, typer.Option("--all", help="Also what is right again.")] = False,
    inventory: Annotated[
        str | None,
        typer.Option("-i", "--inventory", help="Only of this system.", autocompletion=completion.inventories),
    ] = None,
    job: Annotated[
        str | None, typer.Option("--job", help="Only of this job.", autocompletion=completion.jobs)
    ] = None,
    finding: Annotated[
        str | None, typer.Option("--id", help="Only of this id, as disk.space; with --all.")
    ] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only these: crit, warn or unknown.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many.")] = 50,
    after: Annotated[str, typer.Option("--after", help="Go on after a page: its `next`.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Show what runs have found wrong, the worst first, and since when.

    Exit code 0: nothing of it is critical. 2: wrong usage. 3: something is.
    """
    if finding is not None and not everything:
        raise ConfigurationError("--id goes with --all: it lists one finding's history.")
    if status is not None and everything:
        raise ConfigurationError("--status asks what is wrong now: leave --all out.")
    checkout = common.checkout(root)
    with stores.opened(checkout) as store:
        system = stores.system_of(checkout, inventory)
        if everything:
            page = store.queries.findings(
                system=system, job=job, finding_id=finding, limit=limit, after=after
            )
        else:
            page = store.queries.open_findings(
                system=system, job=job, status=_status(status), limit=limit, after=after
            )
        critical = store.queries.count_open(system=system).get(Status.CRIT, 0)
    if as_json:
        common.print_json(page)
    else:
        _show(page.rows, page.next)
    sys.exit(common.CRITICAL if critical else 0)


def _status(word: str | None) -> Status | None:
    if word is None:
        return None
    if word not in (Status.CRIT, Status.WARN, Status.UNKNOWN):
        raise ConfigurationError(
            f"{word[:40]!r} is no status of what is wrong: there are crit, warn and unknown."
        )
    return Status(word)


def _show(rows: list[SpanRow], following: str) -> None:
    from rich.console import Console

    from courtkeeper.cli.findings import line

    console = Console(highlight=False)
    if not rows:
        line(console, "Nothing is wrong that a run has found.")
    for row in rows:
        _block(console, row)
    if following:
        line(console, f"More: --after {following}")


def _block(console: Console, row: SpanRow) -> None:
    from rich.text import Text

    from courtkeeper.cli.findings import COLOURS, line

    word = "CLOSED" if row.closed_at else row.severity.name
    subject = common.printable(f"{row.subject} ({row.finding_id}) on {row.host}, {row.system}")
    console.print(
        Text.assemble((f"{word:<9}", COLOURS.get(word, "green")), (subject, "bold")), soft_wrap=True
    )
    line(console, f"         {row.summary}")
    seen = f"since {row.opened_at:%Y-%m-%d %H:%M} UTC, seen {row.times} times by {row.job}"
    if row.closed_at:
        how = "right again" if row.closed_how == "ok" else "not reported any more"
        seen += f", {how} {row.closed_at:%Y-%m-%d %H:%M}"
    line(console, f"         {seen}")
    if row.fix and not row.closed_at:
        line(console, f"         Mend: {row.fix}")
