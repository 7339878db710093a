"""`courtkeeper undo RUN`: how to take back what a run did; a command is run when it is told to be."""

from __future__ import annotations

import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.findings import ConfigurationError, CourtkeeperError

if TYPE_CHECKING:
    from courtkeeper.store.rows import ActionRow

# Ways back that say themselves that there is none to go.
_NOTHING = ("-- nothing to take back", "none needed", "-- cannot be taken back")
_SHELL = set("|&;<>()$`\\\n*?[]{}~#")
# What a host is told to do by a way back of ours; everything else is for a person to read.
_ON_HOST = {"apt-get"}
_SQL = ("ALTER ", "CREATE ", "DROP ", "WITH ", "INSERT ", "UPDATE ", "DELETE ", "REINDEX ", "VACUUM ")


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way back: `kind` is command (here), host (a command there), sql, redis or words."""

    number: int
    action: ActionRow
    kind: str
    argv: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """For whom it is, for a person."""
        host = self.action.host or "the host"
        return {
            "command": "here",
            "host": f"on {host}",
            "sql": f"in the database, by {host}",
            "redis": f"in the cache, by {host}",
            "words": f"by hand, {host}",
        }[self.kind]


def command(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="The run: its id, or how that begins or ends.", autocompletion=completion.runs
        ),
    ],
    action: Annotated[
        int | None, typer.Option("--action", help="This one only, by its number.", metavar="N")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run it; else it is only shown.")] = False,
    inventory: Annotated[
        str | None,
        typer.Option(
            "-i", "--inventory", help="The system; else the run's.", autocompletion=completion.inventories
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Show how to take back what a run did, the last thing first. Nothing is run without --action and --yes.

    What is a command (of courtkeeper, or apt-get on a host) can be run from here; statements for a database
    or a cache, and instructions, are for a person who sees what has changed since.
    Exit code 0; 1: the command failed; 2: wrong usage.
    """
    checkout = common.checkout(root)
    with stores.opened(checkout) as store:
        run_id = store.queries.find_run(run).run_id
        page = store.queries.run_page(run_id)
        ways = ways_back(page.actions if page else [])
        if action is None:
            if yes:
                raise ConfigurationError("--yes takes back one thing at a time: name it with --action N.")
            _show(run_id, ways, as_json=as_json)
            return
        way = _chosen(ways, action, run_id)
        if not yes or way.kind not in {"command", "host"}:
            _refuse_unless_shown(way, yes=yes)
            _show(run_id, [way], as_json=as_json)
            return
        argv = _argv(way, inventory or str(checkout / "inventory" / way.action.system), checkout)
        _run(argv, checkout, silent=as_json)
        store.people.mark_undone(way.action.id, by=common.person(), at=datetime.now(UTC))
    if as_json:
        common.print_json({"run_id": run_id, "action": action, "undone": True})
    else:
        sys.stdout.write(f"Taken back: {common.printable(way.action.text)}\n")


def ways_back(actions: list[ActionRow]) -> list[Way]:
    """Return the ways back of a run's actions that are still to go, the last thing done first."""
    return [
        _way(action.id, action)
        for action in reversed(actions)
        if action.undo and action.undone_at is None and not action.undo.startswith(_NOTHING)
    ]


def _way(number: int, action: ActionRow) -> Way:
    text = action.undo.strip()
    if text.upper().startswith(("CONFIG ", "PERSIST ")):
        return Way(number=number, action=action, kind="redis")
    if text.startswith("--") or text.upper().startswith(_SQL):
        return Way(number=number, action=action, kind="sql")
    argv = _words(text)
    if argv[:1] == ("courtkeeper",) and len(argv) > 1:
        return Way(number=number, action=action, kind="command", argv=argv)
    if argv and argv[0] in _ON_HOST and action.host:
        return Way(number=number, action=action, kind="host", argv=argv)
    return Way(number=number, action=action, kind="words")


def _words(text: str) -> tuple[str, ...]:
    """Return a command's words; none where a shell would read more into it than words."""
    if _SHELL & set(text):
        return ()
    try:
        return tuple(shlex.split(text))
    except ValueError:
        return ()


def _chosen(ways: list[Way], number: int, run_id: str) -> Way:
    for way in ways:
        if way.number == number:
            return way
    known = ", ".join(str(way.number) for way in ways) or "none"
    raise ConfigurationError(f"{run_id} has no action {number} that can be taken back: there are {known}.")


def _refuse_unless_shown(way: Way, *, yes: bool) -> None:
    if yes:
        raise ConfigurationError(
            f"Action {way.number} is no command to be run from here: do it {way.where}: {way.action.undo}"
        )


def _argv(way: Way, inventory: str, root: Path) -> list[str]:
    from courtkeeper.runner.environment import ansible_playbook
    from courtkeeper.runner.options import find_inventory

    if way.kind == "command":
        return [sys.executable, "-c", "from courtkeeper.cli import main; main()", *way.argv[1:]]
    import os

    playbook, _ = ansible_playbook(os.environ)
    order = " ".join(map(shlex.quote, [way.argv[0], "-y", *way.argv[1:]]))
    where = str(find_inventory(root, inventory))
    ad_hoc = [str(playbook.with_name("ansible")), "-i", where, way.action.host, "--become"]
    return [*ad_hoc, "-m", "ansible.builtin.command", "-a", order]


def _run(argv: list[str], root: Path, *, silent: bool) -> None:
    import os

    environment = os.environ | {
        "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
        "DEBIAN_FRONTEND": "noninteractive",
    }
    try:
        done = subprocess.run(
            argv, cwd=root, env=environment, check=False, stdout=subprocess.DEVNULL if silent else None
        )
    except OSError as error:
        raise CourtkeeperError(f"{argv[0]} cannot be run: {error.strerror or error}.") from error
    if done.returncode:
        raise CourtkeeperError(f"It was not taken back: the command ended with code {done.returncode}.")


def _show(run_id: str, ways: list[Way], *, as_json: bool) -> None:
    if as_json:
        plain = [
            {
                "action": way.number,
                "kind": way.kind,
                "runnable": bool(way.argv),
                "host": way.action.host,
                "subject": way.action.subject,
                "done": way.action.text,
                "undo": way.action.undo,
            }
            for way in ways
        ]
        common.print_json({"run_id": run_id, "ways": plain})
        return
    if not ways:
        sys.stdout.write(f"Of {run_id} there is nothing to take back.\n")
    for way in ways:
        sys.stdout.write(common.printable(f"{way.number:>6}  {way.action.text}") + "\n")
        sys.stdout.write(common.printable(f"        undo {way.where}: {way.action.undo}") + "\n")
        if way.argv:
            sys.stdout.write(f"        courtkeeper undo {run_id} --action {way.number} --yes\n")
