"""What the shell completes: jobs, inventories, runs, channels. Better a name too few than an error."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import typer

_MOST_RUNS = 100


def jobs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the jobs: playbooks, and those of the calendars (of the inventory that was named, or of all)."""
    root = _root()
    if root is None:
        return []
    names = {path.stem for path in (root / "playbooks").glob("*.yml")}
    for inventory in _named(context, root):
        names |= _of_calendar(inventory)
    return _fitting(names, incomplete)


def calendar_jobs(context: typer.Context, incomplete: str) -> list[str]:
    """Return the jobs of the calendars."""
    root = _root()
    names = {
        name for inventory in (_named(context, root) if root else []) for name in _of_calendar(inventory)
    }
    return _fitting(names, incomplete)


def inventories(incomplete: str) -> list[str]:
    """Return the inventories, as inventory/NAME or, where that is being typed, NAME."""
    root = _root()
    names = sorted(path.parent.name for path in root.glob("inventory/*/hosts*")) if root else []
    whole = _fitting({f"inventory/{name}" for name in names}, incomplete)
    return whole or _fitting(set(names), incomplete)


def runs(incomplete: str) -> list[str]:
    """Return the latest runs."""
    root = _root()
    if root is None:
        return []
    try:
        names = sorted(
            (entry.name for entry in os.scandir(root / "var" / "runs") if entry.is_dir()), reverse=True
        )
    except OSError:
        return []
    return [name for name in names if name.startswith(incomplete)][:_MOST_RUNS]


def channels(context: typer.Context, incomplete: str) -> list[str]:
    """Return the channels that people are told by."""
    from courtkeeper.findings import CourtkeeperError
    from courtkeeper.notify.load import load

    root = _root()
    names: set[str] = set()
    for inventory in _named(context, root) if root else []:
        try:
            names |= set(load(inventory, root).names)  # type: ignore[arg-type]
        except CourtkeeperError:
            continue
    return _fitting(names, incomplete)


def _of_calendar(inventory: Path) -> set[str]:
    """The names of a calendar's jobs; not judged, which would take too long for a key press."""
    from courtkeeper.calendar import load, nodes
    from courtkeeper.findings import CourtkeeperError

    try:
        calendar = dict(nodes.pairs(nodes.compose(inventory / load.PATH))).get(load.KEY)
    except CourtkeeperError:
        return set()
    entries = nodes.items(dict(nodes.pairs(calendar)).get("jobs"))
    names = (dict(nodes.pairs(entry)).get("name") for entry in entries)
    return {str(name.value) for name in names if name is not None}


def _named(context: typer.Context, root: Path) -> list[Path]:
    wanted = context.params.get("inventory")
    every = sorted({path.parent for path in root.glob("inventory/*/hosts*")})
    named = [path for path in every if isinstance(wanted, str) and path.name == Path(wanted).name]
    return named or every


def _root() -> Path | None:
    from courtkeeper.cli import common
    from courtkeeper.findings import CourtkeeperError

    try:
        return common.checkout(None)
    except CourtkeeperError:
        return None


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
