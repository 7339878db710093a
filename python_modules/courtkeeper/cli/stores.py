"""What the verbs share that ask the store."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from courtkeeper.store import Store


def opened(root: Path) -> Store:
    """Return the checkout's store, with the runs that only their files knew (after a crash, a full disk)."""
    from courtkeeper.runner.store import reconcile
    from courtkeeper.store import open_store
    from courtkeeper.store.retention import Keep

    now = datetime.now(UTC)
    store = open_store(root)
    reconcile(root, now)
    store.recording.ingest(root, since=now - Keep().runs)
    return store


def system_of(root: Path, inventory: str | None) -> str | None:
    """Return a system's name from its inventory. Raises ConfigurationError where there is none."""
    from courtkeeper.runner.options import find_inventory

    return None if inventory is None else find_inventory(root, inventory).name


def instant(text: str) -> datetime:
    """Return a time as 2026-03-02T01:00Z. Raises ConfigurationError for anything else."""
    from courtkeeper.findings import ConfigurationError

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigurationError(f"{text[:40]!r} is no time: write it with its zone, as 2026-03-02T01:00Z.")
    return found.astimezone(UTC)
