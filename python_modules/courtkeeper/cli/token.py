"""`courtkeeper token NAME`: let somebody into the dashboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from courtkeeper.cli import common


def command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets it, as the audit log will name him.")],
    token_file: Annotated[
        Path, typer.Option("--token-file", help="The file to add it to, as `courtkeeper serve` reads it.")
    ],
    role: Annotated[str, typer.Option("--role", help="viewer reads, operator also decides.")] = "viewer",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Make a token and print it, once: the file keeps its hash alone. To take it back, remove its line."""
    from courtkeeper.web import tokens

    token = tokens.add(token_file, name, role)
    if as_json:
        common.print_json({"name": name, "role": role, "token": token})
        return
    sys.stdout.write(f"{token}\n")
    sys.stderr.write(f"{name} is now a {role} in {token_file}. This token is shown only this once.\n")


__all__ = ["command"]
