"""The command line: one file per verb, imported only when that verb is asked for."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from courtkeeper import __version__
from courtkeeper.findings import CourtkeeperError

if TYPE_CHECKING:
    import typer


class _Verb(NamedTuple):
    """Where a verb lives and what the overview says of it.

    The module exports `command`, a function, or `app`, a Typer with commands of its own.
    """

    module: str
    help: str


_VERBS = {
    "run": _Verb("courtkeeper.cli.run", "Run a job on a system, and report what it found and did."),
    "serve": _Verb("courtkeeper.cli.serve", "Run the calendar of a system by itself, and show it."),
    "token": _Verb("courtkeeper.cli.token", "Let somebody into the dashboard."),
    "history": _Verb("courtkeeper.cli.history", "Show what ran, and one run closely."),
    "findings": _Verb("courtkeeper.cli.open_findings", "Show what is wrong, and since when."),
    "approve": _Verb("courtkeeper.cli.approve", "Let a job begin that waits for a person."),
    "hold": _Verb("courtkeeper.cli.hold", "Keep a job, or every job of a system, from beginning."),
    "release": _Verb("courtkeeper.cli.release", "End a hold."),
    "cancel": _Verb("courtkeeper.cli.cancel", "End a run, or a job's slot that waits."),
    "kpi": _Verb("courtkeeper.cli.kpi", "Show how well a system is kept, in numbers from evidence."),
    "notify": _Verb("courtkeeper.cli.notify", "List, test and serve the channels that tell people."),
    "report": _Verb("courtkeeper.cli.report", "Write a run's report again, and say where it is."),
    "undo": _Verb("courtkeeper.cli.undo", "Show how to take back what a run did."),
    "doctor": _Verb("courtkeeper.cli.doctor", "Check the installation, and say what to mend."),
    "check": _Verb("courtkeeper.cli.check", "Check a server of yours, without an inventory."),
    "calendar": _Verb("courtkeeper.cli.calendar", "Show, check and export what runs when on a system."),
    "vault": _Verb("courtkeeper.cli.vault", "List, verify, drill, restore, hold and prune backups."),
    "platform": _Verb("courtkeeper.cli.platform", "Start, show or stop the embedded platform."),
}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 good, 1 failed, 2 misused, 3 critical findings, 130 interrupted."""
    from courtkeeper.cli import common

    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:  # answered without the weight of the rest
        sys.stdout.write(f"courtkeeper {__version__}\n")
        return
    try:
        _build(given)(given, prog_name="courtkeeper")
    except CourtkeeperError as error:
        common.fail(error, as_json="--json" in given)
    except KeyboardInterrupt:
        sys.exit(common.INTERRUPTED)


def _build(arguments: list[str]) -> typer.Typer:
    """Build the command line with the verb that is asked for; of the others only the name and the help."""
    import typer

    app = typer.Typer(
        help="Maintenance that runs itself and proves what it did.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: as readable, and a fifth of a second sooner
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def _options(
        version: bool = typer.Option(False, "--version", help="Show the version and exit."),
    ) -> None:
        """Hold the options that belong to no verb; --version alone is answered before this."""

    words = arguments or _words_to_complete()
    wanted = next((word for word in words if not word.startswith("-")), "")
    for name, verb in _VERBS.items():
        if find_spec(verb.module) is None:
            continue
        if name == wanted:
            _mount(app, name, verb)
        else:
            app.command(name, short_help=verb.help)(_placeholder)
    return app


def _words_to_complete() -> list[str]:
    """Return what stands on the line that a shell wants completed, as typer hears it from bash, zsh, fish."""
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    return line.split()[1:] if "_COURTKEEPER_COMPLETE" in os.environ else []


def _mount(app: typer.Typer, name: str, verb: _Verb) -> None:
    module = import_module(verb.module)
    if hasattr(module, "command"):
        app.command(name, short_help=verb.help)(module.command)
    else:
        app.add_typer(module.app, name=name, help=verb.help)


def _placeholder() -> None:
    """Stand for a verb in the overview; never called, as the verb asked for is always the real one."""


__all__ = ["main"]
