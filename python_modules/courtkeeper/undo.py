"""Taking back what a run did: which ways back there are, and going one that is surely a command of ours.

Whoever asks (the command line, the dashboard) shows a way first, and goes it only when told to.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.runner import environment, processes
from courtkeeper.runner.options import find_inventory
from courtkeeper.runner.secrets import Redactor, load_secrets, one_line
from courtkeeper.store.rows import ActionRow

# Ways back that say themselves that there is none to go.
_NOTHING = ("-- nothing to take back", "none needed", "-- cannot be taken back")
_SHELL = set("|&;<>()$`\\\n*?[]{}~#")
# What a host is told to do by a way back of ours; everything else is for a person to read.
_ON_HOST = {"apt-get"}
_SQL = ("ALTER ", "CREATE ", "DROP ", "WITH ", "INSERT ", "UPDATE ", "DELETE ", "REINDEX ", "VACUUM ")
_LONGEST = 300  # of what a command said last


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way back: `kind` is command (here), host (a command there), sql, redis or words.

    `argv` are its words where it can be run from here; empty where a person has to do it.
    """

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


def ways_back(actions: Sequence[ActionRow]) -> list[Way]:
    """Return the ways back of a run's actions that are still to go, the last thing done first."""
    return [
        _way(action.id, action)
        for action in reversed(actions)
        if action.undo and action.undone_at is None and not action.undo.startswith(_NOTHING)
    ]


def chosen(ways: Sequence[Way], number: int, run_id: str) -> Way:
    """Return the way back of that number. Raises ConfigurationError that names those there are."""
    for way in ways:
        if way.number == number:
            return way
    known = ", ".join(str(way.number) for way in ways) or "none"
    raise ConfigurationError(f"{run_id} has no action {number} that can be taken back: there are {known}.")


def to_run(way: Way) -> Way:
    """Return `way`. Raises ConfigurationError where it is no command that can be run from here."""
    if way.argv:
        return way
    raise ConfigurationError(
        f"Action {way.number} is no command to be run from here: do it {way.where}: {way.action.undo}"
    )


def go(
    way: Way,
    root: Path,
    inventory: str,
    *,
    aloud: bool,
    mark: Path | None = None,
    limit_s: float | None = None,
) -> None:
    """Run a way back on the system of `inventory`. Raises CourtkeeperError where it does not end well.

    `aloud` shows a person what it prints; else the last line of that is in the error, without secrets.
    `processes.end_run` finds by `mark` what it starts, and ends that after `limit_s` seconds.
    """
    argv = _argv(way, inventory, root)
    given = os.environ | {"ANSIBLE_CONFIG": str(root / "ansible.cfg"), "DEBIAN_FRONTEND": "noninteractive"}
    if mark is not None:
        given[processes.MARK] = str(mark)
    heard = None if aloud else subprocess.PIPE
    try:
        child = subprocess.Popen(
            argv, cwd=root, env=given, stdin=None if aloud else subprocess.DEVNULL,
            stdout=heard, stderr=subprocess.STDOUT if heard else None, text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise CourtkeeperError(f"{argv[0]} cannot be run: {error.strerror or error}.") from error
    with child:
        try:
            said, _ = child.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            if mark is not None:
                processes.end_run(mark)
            child.kill()
            raise CourtkeeperError(
                f"It was not taken back: the command did not end within {limit_s:g} s."
            ) from None
    if child.returncode:
        last = _last_line(said or "", root, inventory)
        how = f"code {child.returncode}: {last}" if last else f"code {child.returncode}."
        raise CourtkeeperError(f"It was not taken back: the command ended with {how}")


def _last_line(said: str, root: Path, inventory: str) -> str:
    lines = [one_line(line) for line in said.splitlines() if line.strip()]
    if not lines:
        return ""
    try:
        secrets = load_secrets(root, find_inventory(root, inventory), None)
    except ConfigurationError:
        return ""  # what cannot be searched for secrets is not shown
    return Redactor(secrets).text(lines[-1])[:_LONGEST]


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


def _argv(way: Way, inventory: str, root: Path) -> list[str]:
    if way.kind == "command":
        return [sys.executable, "-c", "from courtkeeper.cli import main; main()", *way.argv[1:]]
    playbook, _ = environment.ansible_playbook(os.environ)
    order = " ".join(map(shlex.quote, [way.argv[0], "-y", *way.argv[1:]]))
    where = str(find_inventory(root, inventory))
    ad_hoc = [str(playbook.with_name("ansible")), "-i", where, way.action.host, "--become"]
    return [*ad_hoc, "-m", "ansible.builtin.command", "-a", order]
