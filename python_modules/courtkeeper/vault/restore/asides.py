"""Trees and files beside those in use: what they are stands in a journal in the vault's state.

The journal is written before each step that it describes. Where a run was killed in the step of swapping, the
number of the inode tells which of the two lies beside.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.settings import VaultSettings

State = Literal["restoring", "checked", "swapping", "former"]


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """Something of ours at `path`: `of` which path in use. `inode` is that of what was restored."""

    path: str
    of: str
    source: str
    backup: str
    at: datetime
    state: State
    inode: int = 0


def beside(path: str, now: datetime) -> str:
    """Return a name beside `path`, in the same file system, that nothing else has."""
    place = Path(path)
    return str(place.with_name(f"{place.name}.beside-{now:%Y%m%dt%H%M%S}-{secrets.token_hex(2)}"))


def noted(settings: VaultSettings) -> list[Aside]:
    """Return what is in the journal and still there."""
    path = _journal(settings)
    try:
        found = msgspec.json.decode(path.read_bytes(), type=list[Aside])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise RestoreError(f"the journal {path} cannot be read ({error}): look at it by hand") from error
    return [_settled(each) for each in found if os.path.lexists(each.path)]


def note(settings: VaultSettings, aside: Aside) -> None:
    """Write into the journal what something is, in place of what it said of that path before."""
    others = [each for each in noted(settings) if each.path != aside.path]
    _written(settings, [*others, aside])


def discard(settings: VaultSettings, aside: Aside) -> None:
    """Remove what lies beside, and then its note."""
    path = Path(aside.path)
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    _written(settings, [each for each in noted(settings) if each.path != aside.path])


def size_of(path: str) -> int:
    """Return the bytes of a file, or of all files of a tree."""
    if not os.path.isdir(path) or os.path.islink(path):  # noqa: PTH112, PTH114 - bytes of any name
        return os.lstat(path).st_size
    return sum(
        os.lstat(os.path.join(base, name)).st_size  # noqa: PTH118
        for base, _, names in os.walk(path)
        for name in names
    )


def _settled(aside: Aside) -> Aside:
    """Return what a run that was killed while it swapped made of it."""
    if aside.state != "swapping":
        return aside
    still = os.lstat(aside.path).st_ino == aside.inode
    return msgspec.structs.replace(aside, state="restoring" if still else "former")


def _journal(settings: VaultSettings) -> Path:
    if not settings.state_directory:
        raise ConfigurationError(
            "state_directory is empty: a restore of files notes there what it put aside; name a directory"
        )
    return Path(settings.state_directory, f"{settings.name}.asides.json")


def _written(settings: VaultSettings, asides: list[Aside]) -> None:
    path = _journal(settings)
    part = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(asides))
            stream.flush()
            os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        raise RestoreError(f"{path} cannot be written ({error.strerror}): mend state_directory") from error
