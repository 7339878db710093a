"""One piece of work on a vault at a time: what is being written is never pruned."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault.settings import VaultSettings


class BusyError(CourtkeeperError):
    """Another run on the same vault is at work."""


def unopened(path: Path, error: OSError) -> ConfigurationError:
    """Return what to say where the file of a lock cannot be opened."""
    return ConfigurationError(
        f"{path} cannot be opened ({error.strerror}): mend state_directory, and let what is in it be of the "
        "user who runs this"
    )


@contextlib.contextmanager
def alone(settings: VaultSettings, work: str = "") -> Iterator[None]:
    """Hold the vault's lock, which ends with us however we end.

    Raises BusyError if somebody has it, ConfigurationError where its file cannot be opened.

    `work`: a lock of its own, for what only reads the vault (`drill`). Without a state directory there is
    no lock.
    """
    if not settings.state_directory:
        yield
        return
    path = Path(settings.state_directory, f"{settings.name}{work and f'.{work}'}.lock")
    try:
        stream = path.open("a")
    except OSError as error:
        raise unopened(path, error) from error
    with stream:
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another {work or 'run'} on the vault {settings.name} is at work (it holds {path}): "
                "wait for its end"
            ) from None
        yield
