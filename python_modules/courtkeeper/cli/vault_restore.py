"""`courtkeeper vault drill` and `courtkeeper vault restore …`."""

from __future__ import annotations

from typing import Annotated

import typer

from courtkeeper.cli.vault_common import JsonOption, VaultOption, end, settings_of
from courtkeeper.cli.vault_common import progress as shown_progress

CheckOption = Annotated[bool, typer.Option("--check", help="Say what would happen, and change nothing.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to those of the vault."""
    app.command("drill")(drill_backups)


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
    Exit code 0: proven, within the agreed limits. 1: a drill is at work. 2: wrong usage. 3: critical.
    """
    from courtkeeper.vault.drill.run import drill
    from courtkeeper.vault.policy import policy_from

    settings = settings_of(vault)
    policy = policy_from(settings.policy).drill
    with shown_progress(silent=as_json) as progress:
        result = drill(
            settings, policy, sources=source or [], backup_id=backup, check_mode=check, progress=progress
        )
    end(result, as_json=as_json, show_all=True)
