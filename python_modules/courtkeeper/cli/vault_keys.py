"""`courtkeeper vault keys …`: making the keys of a vault, and sealing backups anew for other ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from courtkeeper.cli import common

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

_WARNING = """\
This file alone opens the backups. Keep copies of it where neither this machine nor its backups are: print it,
or put it into a password manager. Without it no backup can be opened, by nobody.
"""


@app.command("new", short_help="Make the keys of a vault.")
def new(
    identity: Annotated[
        str,
        typer.Option(
            "--identity",
            metavar="FILE",
            help="Where the private key goes; made if it is missing. Else a file of your home directory.",
        ),
    ] = "",
    recipients: Annotated[
        str,
        typer.Option(
            "--recipients",
            metavar="FILE",
            help="The file of public keys that it is added to. Else the checkout's var/vault/recipients.txt.",
        ),
    ] = "",
    signing: Annotated[
        str, typer.Option("--signing", metavar="FILE", help="Make a key that signs manifests, too.")
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the files and the public keys, and nothing else.")
    ] = False,
) -> None:
    """Make the keys of a vault: what opens its backups, and what they are sealed for.

    The private key stands in its file alone, which opens the backups: keep copies of it elsewhere.
    """
    from courtkeeper.vault import keys

    root = None if recipients and identity else common.checkout(None)
    public_file = Path(recipients) if recipients else Path(str(root)) / "var" / "vault" / "recipients.txt"
    private_file = Path(identity) if identity else _default_identity(Path(str(root)))
    say = (lambda _: None) if as_json else _say
    made = not private_file.exists()
    if made:
        publics = [keys.new_identity(private_file)]
        say(f"made {private_file}\n\n{_WARNING}")
    else:
        publics = keys.public_of(str(private_file))
        say(f"{private_file} is there already and is used.")
    for public in publics:
        added = keys.add_recipient(public_file, public)
        say(f"{public_file} {'now names' if added else 'names'} {public}")
    signer = keys.new_signing_key(Path(signing)) if signing else ""
    if signer:
        say(f"made {signing}; manifests that it signs count where signers names\n{signer}")
    if as_json:
        common.print_json(
            {
                "identity_file": str(private_file),
                "made": made,
                "recipients_file": str(public_file),
                "recipients": publics,
                "signing_file": signing,
                "signer": signer,
            }
        )


@app.command("reseal", short_help="Seal backups anew for today's recipients.")
def reseal(
    vault: Annotated[
        str, typer.Option("--vault", metavar="FILE", help="The vault's settings, as other verbs take them.")
    ] = "",
    identity: Annotated[
        str, typer.Option("--identity", metavar="FILE", help="The old private keys, if not the vault's.")
    ] = "",
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Remove backups for which there is one with today's keys.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result and nothing else.")] = False,
) -> None:
    """Seal every backup anew that today's recipients cannot open, or that others can."""
    import msgspec

    from courtkeeper.cli import vault_common as verbs
    from courtkeeper.vault.resealing import reseal as sealed_anew
    from courtkeeper.vault.settings import with_recipients

    settings = with_recipients(verbs.settings_of(vault))
    if identity:
        settings = msgspec.structs.replace(settings, identity_file=identity)
    verbs.end(sealed_anew(settings, remove_old=remove_old, check_mode=check), as_json=as_json)


def _default_identity(root: Path) -> Path:
    """Return a file outside the checkout: who loses the platform must not lose the key with it."""
    return Path.home() / ".config" / "courtkeeper" / f"{root.resolve().name}-identity.txt"


def _say(text: str) -> None:
    sys.stdout.write(f"{common.printable(text)}\n")


__all__ = ["app"]
