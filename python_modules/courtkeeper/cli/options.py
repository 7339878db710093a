"""The options that most verbs have."""

from __future__ import annotations

from typing import Annotated

import typer

from courtkeeper.cli import completion

InventoryOption = Annotated[
    str,
    typer.Option(
        "-i",
        "--inventory",
        help="The system: a directory, as inventory/embedded.",
        autocompletion=completion.inventories,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
RootOption = Annotated[
    str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
]
