"""One piece of work on a vault at a time: what is being written is never pruned."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.settings import VaultSettings


class BusyError(CourtkeeperError):
    """Another run on the same vault is at work."""


@contextlib.contextmanager
def alone(settings: VaultSettings) -> Iterator[None]:
    """Hold the vault's lock, which ends with us however we end. Raises BusyError if somebody has it.

    Without a state directory there is no lock.
    """
    if not settings.state_directory:
        yield
        return
    path = Path(settings.state_directory, f"{settings.name}.lock")
    with path.open("a") as stream:
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another run on the vault {settings.name} is at work (it holds {path}): wait for its end"
            ) from None
        yield
