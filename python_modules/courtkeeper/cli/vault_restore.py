"""`courtkeeper vault drill` and `courtkeeper vault restore …`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli.vault import JsonOption, VaultOption, app, end, settings_of

if TYPE_CHECKING:
    from courtkeeper.vault.drill.run import Progress

CheckOption = Annotated[bool, typer.Option("--check", help="Say what would happen, and change nothing.")]


@contextmanager
def shown(*, silent: bool) -> Iterator[Progress]:
    """Show a line of progress on a terminal."""
    if silent:
        yield lambda _done, _total, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True), transient=True
    ) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total, text: bars.update(
            task, description=text, completed=done, total=total or None
        )


@app.command("drill")
def drill_backups(
    backup: Annotated[str, typer.Argument(metavar="[ID]", help="Drill this backup alone.")] = "",
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source. May be repeated.")
    ] = None,
    check: CheckOption = False,
    vault: VaultOption = "",
    as_json: JsonOption = False,
) -> None:
    """Restore backups into a scratch instance, look at all that came out, time it, and destroy the scratch.

    Without an ID: the newest of each source, and an older one in turn. What is in use is not touched.
    Exit code 0: proven, within the agreed limits. 1: a drill is at work. 2: wrong usage. 3: critical findings.
    """
    from courtkeeper.vault.drill.run import drill
    from courtkeeper.vault.policy import policy_from

    settings = settings_of(vault)
    policy = policy_from(settings.policy).drill
    with shown(silent=as_json) as progress:
        result = drill(
            settings, policy, sources=source or [], backup_id=backup, check_mode=check, progress=progress
        )
    end(result, as_json=as_json, show_all=True)
