"""`courtkeeper platform up|status|down`: the embedded platform of this checkout."""

from __future__ import annotations

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from courtkeeper.platform import supervisor
from courtkeeper.platform.files import find_root, require_directory
from courtkeeper.platform.state import Health, PlatformStatus, State

app = typer.Typer(
    help="The embedded platform: Postgres, Valkey, the feed and the API, all under var/.",
    no_args_is_help=True,
)


class Feed(StrEnum):
    """Which feed to serve."""

    AUTO = "auto"
    RECORDED = "recorded"
    SIMULATED = "simulated"


Root = Annotated[
    Path | None,
    typer.Option("--root", help="The checkout. Default: $COURTKEEPER_ROOT, else the one we are in."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]

_COLOURS = {Health.UP: "green", Health.DEGRADED: "yellow", Health.DOWN: "red"}
_NAMES = {"postgres": "Postgres", "cache": "Valkey", "feed": "Feed", "api": "API"}


@app.command()
def up(
    feed: Annotated[
        Feed, typer.Option("--feed", help="auto: recorded games where they are found, else simulated ones.")
    ] = Feed.AUTO,
    recorded: Annotated[
        Path | None,
        typer.Option(
            "--recorded", help="The directory that holds recorded/. Default: $COURTKEEPER_RECORDED."
        ),
    ] = None,
    postgres_bin: Annotated[
        Path | None,
        typer.Option("--postgres-bin", help="Use the Postgres programs in this directory from now on."),
    ] = None,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Start the platform, or mend what is missing. Run it again whenever a part has died."""
    console = Console(stderr=True)
    started = time.monotonic()
    outcome = supervisor.bring_up(
        _root(root),
        feed_kind=feed.value,
        recorded_dir=recorded,
        postgres_bin=postgres_bin,
        progress=(lambda _: None)
        if as_json
        else (lambda text: console.print(f"  {escape(text)}", soft_wrap=True)),
    )
    if as_json:
        _print_json({"changed": bool(outcome.actions), "actions": outcome.actions, "state": outcome.state})
        return
    _show_state(Console(), outcome.state)
    if outcome.actions:
        Console().print(f"[green]The platform is up[/] ({time.monotonic() - started:.1f} s).")
    else:
        Console().print("[green]The platform was up already[/]: nothing was changed.")


@app.command()
def status(root: Root = None, as_json: AsJson = False) -> None:
    """Show how every part is. Exits 1 if one of them is not up."""
    found = supervisor.status(_root(root))
    if as_json:
        _print_json({"status": found.status, "root": found.root, "parts": found.parts})
    else:
        _show_status(Console(), found)
    if found.status is not Health.UP:
        raise typer.Exit(1)


@app.command()
def down(
    remove_data: Annotated[
        bool, typer.Option("--remove-data", help="Also remove the database and everything else it keeps.")
    ] = False,
    root: Root = None,
    as_json: AsJson = False,
) -> None:
    """Stop every process of the platform. The data stay, unless --remove-data."""
    console = Console(stderr=True)
    actions = supervisor.down(
        _root(root),
        remove_data=remove_data,
        progress=(lambda _: None)
        if as_json
        else (lambda text: console.print(f"  {escape(text)}", soft_wrap=True)),
    )
    if as_json:
        _print_json({"changed": bool(actions), "actions": actions})
    elif actions:
        Console().print("The platform is down.")
    else:
        Console().print("The platform was down already: nothing was changed.")


def _root(named: Path | None) -> Path:
    return require_directory(named, "--root") if named else find_root(Path.cwd())


def _show_state(console: Console, state: State) -> None:
    rows: list[tuple[str, str, str]] = []
    if state.postgres:
        at = f"{state.postgres.host}:{state.postgres.port}"
        rows.append(("Postgres", at, f"database {state.postgres.database}, user {state.postgres.user}"))
    if state.cache:
        rows.append(("Valkey", f"{state.cache.host}:{state.cache.port}", "the API's cache"))
    if state.feed:
        rows.append(("Feed", state.feed.url, f"{state.feed.kind} games; the night of {state.feed.date}"))
    if state.api:
        example = f"{state.api.url}/games?date={state.feed.date}" if state.feed else f"{state.api.url}/health"
        rows.append(("API", state.api.url, f"try {example}"))
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(f"[bold]{row[0]}[/]", escape(row[1]), escape(row[2]))
    console.print(table)


def _show_status(console: Console, found: PlatformStatus) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("part", "status", "pid", "address", ""):
        table.add_column(heading, overflow="fold")
    for part in found.parts:
        colour = _COLOURS[part.status]
        table.add_row(
            f"[bold]{_NAMES[part.name]}[/]",
            f"[{colour}]{part.status}[/]",
            str(part.pid or ""),
            escape(part.address),
            escape(part.summary),
        )
    console.print(table)


def _print_json(value: object) -> None:
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
