"""`courtkeeper vault drill` and `courtkeeper vault restore …`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from courtkeeper.cli import vault_show
from courtkeeper.cli.vault_common import JsonOption, VaultOption, end, settings_of
from courtkeeper.cli.vault_common import progress as shown_progress
from courtkeeper.findings import CourtkeeperError

CheckOption = Annotated[bool, typer.Option("--check", help="Say what would happen, and change nothing.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to those of the vault."""
    app.command("drill", short_help="Restore into a scratch instance, and prove what came out.")(
        drill_backups
    )
    app.command("restore", short_help="Restore to the side, check it there, and swap it in.")(restore_backup)
    app.command("former", short_help="Show, and remove, what restores kept of before.")(former_states)


def drill_backups(
    backup: Annotated[str, typer.Argument(metavar="[ID]", help="Drill this backup alone.")] = "",
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source. May be repeated.")
    ] = None,
    check: CheckOption = False,
    vault: VaultOption = "",
    show_all: Annotated[bool, typer.Option("--all", help="Show the good findings too.")] = False,
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
    proofs = result.details.get("drills", [])
    end(
        result,
        as_json=as_json,
        show_all=show_all,
        middle=lambda console: vault_show.drills(console, proofs),
    )


def restore_backup(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source of the vault, as `database`.")],
    backup: Annotated[str, typer.Option("--id", help="This backup. Else the newest.")] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="The newest taken by then (ISO 8601, UTC).")
    ] = "",
    database: Annotated[
        str, typer.Option("--database", help="One database. Else all, and missing roles.")
    ] = "",
    table: Annotated[str, typer.Option("--table", metavar="SCHEMA.NAME", help="One table of it.")] = "",
    path: Annotated[str, typer.Option("--path", help="One tree of a backup of files. Else all.")] = "",
    destination: Annotated[str, typer.Option("--from", help="Read from this destination first.")] = "",
    beside: Annotated[bool, typer.Option("--beside", help="Leave it beside, and swap nothing in.")] = False,
    replace: Annotated[
        list[str] | None,
        typer.Option("--replace", metavar="NAME", help="This is in use and may be replaced. Repeatable."),
    ] = None,
    end_sessions: Annotated[
        bool, typer.Option("--end-sessions", help="End the sessions of what is replaced.")
    ] = False,
    accept_differences: Annotated[
        bool,
        typer.Option("--accept-differences", help="Take it though it is not what its manifest says."),
    ] = False,
    roles: Annotated[bool, typer.Option("--roles", help="Make missing roles for one database, too.")] = False,
    check: CheckOption = False,
    vault: VaultOption = "",
    as_json: JsonOption = False,
) -> None:
    """Restore to the side, check it there, and swap it in; what was in use is kept until you say otherwise.

    --check says what would happen, how long it should take, and what would be lost.

    Exit code 0: restored. 1: failed, and what is in use is as it was. 2: refused. 3: critical findings.
    """
    from courtkeeper.vault.restore.request import request_from
    from courtkeeper.vault.restore.run import restore

    settings = settings_of(vault)
    given = {
        "source": source,
        "backup": backup,
        "until": until,
        "destination": destination,
        "database": database,
        "table": table,
        "path": path,
        "beside": beside,
        "replace": replace or [],
        "end_sessions": end_sessions,
        "roles": roles,
        "accept_differences": accept_differences,
    }
    with shown_progress(silent=as_json) as progress, _options():
        result = restore(settings, request_from(given), check_mode=check, progress=progress)
    end(result, as_json=as_json, show_all=True)


@contextlib.contextmanager
def _options() -> Iterator[None]:
    """Say in a refusal what has to be typed here, instead of the words of an inventory."""
    try:
        yield
    except CourtkeeperError as error:
        text = str(error)
        for word in ("replace", "end_sessions", "accept_differences"):
            text = text.replace(f"say {word}", f"say --{word.replace('_', '-')}")
        error.args = (text,)
        raise


def former_states(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source of the vault.")],
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="NAME", help="Remove this one. Repeatable.")
    ] = None,
    check: CheckOption = False,
    vault: VaultOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what restores keep beside what is in use, and remove what is named."""
    from courtkeeper.vault.restore.former import former

    settings = settings_of(vault)
    result = former(settings, source, remove=remove or [], check_mode=check)
    if as_json:
        end(result, as_json=True)
    vault_show.former(result)
