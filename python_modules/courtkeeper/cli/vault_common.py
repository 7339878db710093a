"""What the commands of `courtkeeper vault` share: where its settings are, and how a result is shown."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from courtkeeper.cli import common
from courtkeeper.findings import ConfigurationError, Result, Status, worst

if TYPE_CHECKING:
    from rich.console import Console

    from courtkeeper.vault.context import Progress
    from courtkeeper.vault.settings import VaultSettings

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

    return told.vault_file(told.path_of(file, _checkout()))


def settings_if_any(file: str) -> VaultSettings | None:
    """Return the settings of the vault here; None where there is none. Raises ConfigurationError."""
    from courtkeeper.vault import told

    path = told.path_if_any(file, _checkout())
    return told.vault_file(path) if path else None


def _checkout() -> Path | None:
    with contextlib.suppress(ConfigurationError):
        return common.checkout(None)
    return None


def end(
    result: Result,
    *,
    as_json: bool,
    show_all: bool = False,
    middle: Callable[[Console], None] = lambda _: None,
) -> None:
    """Print a result (and `middle`, before its findings) and end the program by it."""
    if as_json:
        print_json(result.to_builtins())
    else:
        _print(result, show_all, middle)
    sys.exit(common.CRITICAL if worst(result.findings) is Status.CRIT else 0)


def print_json(value: dict[str, Any]) -> None:
    """Print a value as one line of JSON."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def _print(result: Result, show_all: bool, middle: Callable[[Console], None]) -> None:
    from rich.console import Console
    from rich.text import Text

    from courtkeeper.cli import findings

    console = Console(highlight=False)
    word = worst(result.findings).name
    console.print(Text.assemble((word, findings.COLOURS[word]), f"  {common.printable(result.msg)}"))
    for action in result.actions:
        findings.line(console, f"  {action}")
    middle(console)
    findings.show(console, result.findings, most_ok=sys.maxsize if show_all else 0)


@contextlib.contextmanager
def progress(*, silent: bool) -> Iterator[Progress]:
    """Show a line of progress on a terminal."""
    if silent:
        yield lambda _done, _total, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total, text: bars.update(
            task, description=text, completed=done, total=total or None
        )
