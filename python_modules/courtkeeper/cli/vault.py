"""`courtkeeper vault …`: what backups there are, whether they are good, and what becomes of them."""

from __future__ import annotations

import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from courtkeeper.cli import common, vault_keys
from courtkeeper.findings import ConfigurationError, Result, Status, worst

if TYPE_CHECKING:
    from rich.console import Console

    from courtkeeper.vault.catalog import Backup, Catalog
    from courtkeeper.vault.settings import VaultSettings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(vault_keys.app, name="keys", help="Make keys, and seal backups anew for other ones.")

VaultOption = Annotated[
    str,
    typer.Option(
        "--vault",
        metavar="FILE",
        help="The vault's settings (JSON or TOML). Else $COURTKEEPER_VAULT, the checkout's "
        "var/vault/vault.json, /etc/courtkeeper/vault.json.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result and nothing else.")]
BackupArgument = Annotated[str, typer.Argument(metavar="ID", help="A backup, as `vault list` names it.")]


def settings_of(file: str) -> VaultSettings:
    """Return the settings that a command works on. Raises ConfigurationError."""
    from courtkeeper.vault import told

    checkout: Path | None = None
    with contextlib.suppress(ConfigurationError):
        checkout = common.checkout(None)
    return told.vault_file(told.path_of(file, checkout))


def end(result: Result, *, as_json: bool, show_all: bool = False) -> None:
    """Print a result and end the program by it."""
    if as_json:
        print_json(result.to_builtins())
    else:
        _print(result, show_all=show_all)
    sys.exit(common.CRITICAL if worst(result.findings) is Status.CRIT else 0)


def print_json(value: dict[str, Any]) -> None:
    """Print a value as one line of JSON."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _print(result: Result, *, show_all: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    from courtkeeper.cli import findings

    console = Console(highlight=False)
    word = worst(result.findings).name
    console.print(Text.assemble((word, findings.COLOURS[word]), f"  {common.printable(result.msg)}"))
    for action in result.actions:
        findings.line(console, f"  {action}")
    findings.show(console, result.findings, most_ok=sys.maxsize if show_all else 0)


@app.command("list")
def list_backups(
    vault: VaultOption = "",
    source: Annotated[str, typer.Option("--source", help="Only the backups of this source.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the backups, the newest first: how old and large, where, proven by a drill or not, held or not.

    Exit code 0; 1 where no destination answers; 2: wrong usage; 3: something is wrong with a backup or a
    destination.
    """
    from courtkeeper.vault import catalog
    from courtkeeper.vault.destinations import destination

    settings = settings_of(vault)
    destinations = [destination(entry) for entry in settings.destinations]
    seen = catalog.load(settings.name, destinations, signers=settings.signers, source=source)
    now = datetime.now(UTC)
    if as_json:
        print_json(_listing(settings.name, seen, now))
    else:
        _table(settings, seen, now)
    if not seen.reached:
        sys.exit(common.FAILED)
    sys.exit(common.CRITICAL if any(each.kind != "incomplete" for each in seen.problems) else 0)


def _listing(vault: str, seen: Catalog, now: datetime) -> dict[str, Any]:
    return {
        "vault": vault,
        "reached": list(seen.reached),
        "backups": [
            {
                "id": backup.id,
                "source": backup.source,
                "kind": backup.manifest.kind,
                "taken_at": backup.taken_at.isoformat(),
                "age_s": round((now - backup.taken_at).total_seconds()),
                "plain_bytes": backup.plain_size,
                "sealed_bytes": backup.sealed_size,
                "where": list(backup.where),
                "proven_at": backup.proven_at.isoformat() if backup.proven_at else None,
                "held": backup.held,
                "parts": [part.name for part in backup.manifest.parts],
            }
            for backup in seen.backups
        ],
        "problems": [
            {
                "destination": problem.destination,
                "kind": problem.kind,
                "prefix": problem.prefix,
                "sentence": problem.sentence,
            }
            for problem in seen.problems
        ],
    }


def _table(settings: VaultSettings, seen: Catalog, now: datetime) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Source", "Backup", "Age", "Size", "Sealed", "Where", "Proven", ""):
        table.add_column(name, no_wrap=True, justify="right" if name in ("Age", "Size", "Sealed") else "left")
    for backup in seen.backups:
        table.add_row(*(Text(common.printable(cell)) for cell in _row(backup, now)))
    if seen.backups:
        console.print(table)
    _below(console, settings, seen)


def _row(backup: Backup, now: datetime) -> tuple[str, ...]:
    from courtkeeper.vault import places
    from courtkeeper.vault.findings import sized

    return (
        backup.source,
        backup.id,
        places.age(backup.taken_at, now),
        sized(backup.plain_size),
        sized(backup.sealed_size),
        ", ".join(backup.where),
        f"{places.age(backup.proven_at, now)} ago" if backup.proven_at else "no",
        "held" if backup.held else "",
    )


def _below(console: Console, settings: VaultSettings, seen: Catalog) -> None:
    """Say under the table what it cannot show: sources without a backup, problems, the sums."""
    from rich.text import Text

    from courtkeeper.cli import findings
    from courtkeeper.vault.findings import sized

    with_backups = {backup.source for backup in seen.backups}
    for problem in seen.problems:
        console.print(Text.assemble(("CRIT  ", findings.COLOURS["CRIT"]), common.printable(problem.sentence)))
    for source in settings.sources:
        if source.name not in with_backups and seen.reached:
            console.print(Text.assemble(("CRIT  ", findings.COLOURS["CRIT"]), f"{source.name} has no backup"))
    if seen.backups:
        console.print()
    total = sum(copy.size for backup in seen.backups for copy in backup.copies)
    console.print(
        f"{len(seen.backups)} backups of {settings.name}, {sized(total)} in all copies, "
        f"{sum(1 for backup in seen.backups if backup.proven_at)} proven."
    )


@app.command("verify")
def verify_backups(
    backup: Annotated[str, typer.Argument(metavar="[ID]", help="Read this backup whole, everywhere.")] = "",
    vault: VaultOption = "",
    show_all: Annotated[bool, typer.Option("--all", help="Show the good findings too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read backups from every destination and compare them with what was written. It is not a drill.

    Without an ID: the newest of each source, and older ones in turn, as the policy says.
    Exit code 0: nothing critical. 2: wrong usage. 3: critical findings.
    """
    from courtkeeper.vault.policy import policy_from
    from courtkeeper.vault.verify import verify

    settings = settings_of(vault)
    result = verify(settings, policy_from(settings.policy), now=datetime.now(UTC), backup_id=backup)
    end(result, as_json=as_json, show_all=show_all or bool(backup))


@app.command("hold")
def hold_backup(
    backup: BackupArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever asks later.")] = "",
    vault: VaultOption = "",
    as_json: JsonOption = False,
) -> None:
    """Keep a backup until it is released, whatever retention says."""
    from courtkeeper.vault.destinations import destination
    from courtkeeper.vault.hold import hold

    settings = settings_of(vault)
    destinations = [destination(entry) for entry in settings.destinations]
    result = hold(
        settings.name, destinations, backup, reason, now=datetime.now(UTC), signers=settings.signers
    )
    end(result, as_json=as_json)


@app.command("release")
def release_backup(backup: BackupArgument, vault: VaultOption = "", as_json: JsonOption = False) -> None:
    """Leave a held backup to retention again."""
    from courtkeeper.vault.destinations import destination
    from courtkeeper.vault.hold import release

    settings = settings_of(vault)
    destinations = [destination(entry) for entry in settings.destinations]
    end(release(settings.name, destinations, backup, signers=settings.signers), as_json=as_json)


@app.command("prune")
def prune_backups(
    check: Annotated[bool, typer.Option("--check", help="Say what would go, and remove nothing.")] = False,
    vault: VaultOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove what retention does not keep, on every destination. Never the last good or proven one.

    Exit code 0: nothing critical. 1: a backup is at work. 2: wrong usage. 3: critical findings.
    """
    from courtkeeper.vault.policy import policy_from
    from courtkeeper.vault.prune import prune_vault

    settings = settings_of(vault)
    result = prune_vault(settings, policy_from(settings.policy), now=datetime.now(UTC), check=check)
    end(result, as_json=as_json, show_all=True)
