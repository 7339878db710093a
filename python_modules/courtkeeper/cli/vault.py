"""`courtkeeper vault …`: what backups there are, whether they are good, and what becomes of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from courtkeeper.cli import common, vault_keys, vault_restore, vault_show
from courtkeeper.cli.vault_common import BackupArgument, JsonOption, VaultOption, end, print_json, settings_of

if TYPE_CHECKING:
    from courtkeeper.vault.catalog import Catalog

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(vault_keys.app, name="keys", help="Make keys, and seal backups anew for other ones.")
vault_restore.add_to(app)


@app.command("list", short_help="Show the backups, the newest first.")
def list_backups(
    vault: VaultOption = "",
    source: Annotated[str, typer.Option("--source", help="Only the backups of this source.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the backups, the newest first: how old and large, where, proven by a drill or not, held or not.

    Exit code 0; 1 where no destination answers; 2: wrong usage; 3: a source has no backup, or something is
    wrong with a backup or a destination.
    """
    from courtkeeper.settings import known
    from courtkeeper.vault import catalog
    from courtkeeper.vault.destinations import destination

    settings = settings_of(vault)
    destinations = [destination(entry) for entry in settings.destinations]
    seen = catalog.of(settings, destinations, source=source)
    now = datetime.now(UTC)
    there = {backup.source for backup in seen.backups}
    names = [each.name for each in settings.sources]
    if source and not there and seen.reached:
        known("source", [source], names)
    wanted = [name for name in names if source in ("", name)]
    missing = [name for name in wanted if name not in there] if seen.reached else []
    if as_json:
        print_json(_listing(settings.name, seen, missing, now))
    else:
        vault_show.backups(settings, seen, missing, now)
    if not seen.reached:
        sys.exit(common.FAILED)
    wrong = any(each.kind != "incomplete" for each in seen.problems)
    sys.exit(common.CRITICAL if wrong or missing else 0)


def _listing(vault: str, seen: Catalog, missing: Sequence[str], now: datetime) -> dict[str, Any]:
    return {
        "vault": vault,
        "reached": list(seen.reached),
        "missing": list(missing),
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


@app.command("verify", short_help="Read backups everywhere and compare them.")
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


@app.command("prune", short_help="Remove what retention does not keep.")
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
