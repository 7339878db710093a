"""Trees of files: unpacked beside those in use, counted, and exchanged with them in one moment."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.vault.destinations.base import Destination
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.restore import asides, copies, estimate
from courtkeeper.vault.restore.asides import Aside
from courtkeeper.vault.restore.feed import RestoreError
from courtkeeper.vault.restore.trees import Unpacking
from courtkeeper.vault.restore.work import Work
from courtkeeper.vault.unseal import unseal

_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)


def wanted(work: Work) -> tuple[Part, list[str]]:
    """Return the tar, and the paths of it to restore. Raises ConfigurationError."""
    part = next((part for part in work.backup.manifest.parts if part.kind == "tar"), None)
    if part is None:
        raise ConfigurationError(f"the backup {work.backup.id} has no files")
    path = os.path.normpath(work.request.path) if work.request.path else ""
    if not path:
        return part, list(part.roots)
    if not any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in part.roots):
        raise ConfigurationError(f"path {path!r} is not in {work.backup.id}: it has {', '.join(part.roots)}")
    return part, [path]


def refusal(work: Work, paths: list[str]) -> str:
    """Say why it may not be done; empty where it may."""
    if work.request.beside:
        return ""
    for path in paths:
        if os.path.ismount(path):
            return (
                f"{path} is a mount point, which cannot be exchanged: restore it beside, or a tree below it"
            )
        if _in_use(path) and path not in work.request.replace:
            return f"{path} is in use: say replace {path}, or restore it beside"
    return ""


def _in_use(path: str) -> bool:
    place = Path(path)
    if place.is_dir() and not place.is_symlink():
        return any(place.iterdir())
    return os.path.lexists(path)


def plan(work: Work) -> None:
    """Say what would happen."""
    part, paths = wanted(work)
    copies.from_copies(
        work.backup,
        work.places,
        lambda place: copies.require_key(work.backup, [part], place, work.identities),
        first=work.request.destination,
    )
    how_long = estimate.duration(work.settings, "files", part.plain_size)
    for path in paths:
        work.result.actions.append(
            f"unpack {path} of {work.backup.id} ({work.age} old) beside it ({how_long})"
        )
        if not work.request.beside:
            kept = f"; what is {path} now is kept beside until told" if os.path.lexists(path) else ""
            work.result.actions.append(f"swap it in as {path}{kept}")
    if not work.request.beside:
        text = f"Lost would be what was written in the {work.age} since then."
        work.found("lost", work.request.source, Status.WARN, text, fix="it stays readable beside")
    if refused := refusal(work, paths):
        work.found("refused", work.request.source, Status.CRIT, f"It would be refused: {refused}.")
    work.result.changed = True
    work.result.msg = f"would restore {', '.join(paths)} from {work.backup.id}"


def restore(work: Work) -> None:
    """Restore. Raises ConfigurationError where it is refused, RestoreError and its like where it fails."""
    part, paths = wanted(work)
    if refused := refusal(work, paths):
        raise ConfigurationError(f"{refused}: nothing was done")
    for each in asides.noted(work.settings):
        if each.state == "restoring":
            asides.discard(work.settings, each)
            work.did(f"removed {each.path}, which a killed restore had left")
    work.trace("swept")
    made = copies.from_copies(
        work.backup,
        work.places,
        lambda place: _unpacked(work, part, paths, place),
        first=work.request.destination,
    )
    for path, aside in made.items():
        if work.request.beside:
            work.did(f"restored {path} as {aside.path}, beside the one in use")
        else:
            _swap(work, path, aside)


def _unpacked(work: Work, part: Part, paths: list[str], place: Destination) -> dict[str, Aside]:
    now = work.now()
    made = {
        path: Aside(
            path=asides.beside(path, now),
            of=path,
            source=work.request.source,
            backup=work.backup.id,
            at=now,
            state="restoring",
        )
        for path in paths
    }
    begun = time.monotonic()
    try:
        for path, aside in made.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            asides.note(work.settings, aside)
        work.trace("noted")
        count = unpack(work, part, {path: aside.path for path, aside in made.items()}, place)
        work.trace("unpacked")
        os.sync()
        _require_there(work, made)
        made = {path: _whole(work, aside) for path, aside in made.items()}
    except BaseException as error:
        for aside in made.values():
            asides.discard(work.settings, aside)
        if isinstance(error, OSError):
            raise RestoreError(
                f"the files cannot be unpacked: {error.strerror} ({error.filename})"
            ) from error
        raise
    work.remember(part.plain_size, time.monotonic() - begun)
    text = f"{count} files and directories were unpacked, and the archive's SHA-256 is the manifest's."
    work.found("contents", work.request.source, Status.OK, text)
    return made


def _require_there(work: Work, made: Mapping[str, Aside]) -> None:
    for path, aside in made.items():
        if not os.path.lexists(aside.path):
            raise RestoreError(f"{path} is not in the backup {work.backup.id}")


def unpack(work: Work, part: Part, places: Mapping[str, str], place: Destination) -> int:
    """Unpack some trees of a tar; return how many files they have. Raises RestoreError, DestinationError."""
    unpacking = Unpacking(places)

    def progress(size: int) -> None:
        work.passed(part, size)

    try:
        unseal(place, work.backup.prefix, part, work.identities, unpacking.write, progress=progress)
        unpacking.finish()
    finally:
        unpacking.close()
    if set(places) >= set(part.roots) and unpacking.count != part.files:
        raise RestoreError(f"{unpacking.count} files were unpacked, and the manifest has {part.files}")
    return unpacking.count


def _whole(work: Work, aside: Aside) -> Aside:
    # What is to be swapped in is nobody's once its run is gone.
    found = msgspec.structs.replace(
        aside, state="checked" if work.request.beside else "restoring", inode=os.lstat(aside.path).st_ino
    )
    asides.note(work.settings, found)
    return found


def _swap(work: Work, path: str, aside: Aside) -> None:
    asides.note(work.settings, msgspec.structs.replace(aside, state="swapping"))
    work.trace(f"swapping:{path}")
    if os.path.lexists(path):
        try:
            exchange(aside.path, path)
        except RestoreError:
            asides.note(work.settings, msgspec.structs.replace(aside, state="checked"))
            raise
    else:
        Path(aside.path).rename(path)
    _sync(Path(path).parent)
    work.trace(f"swapped:{path}")
    work.did(f"swapped in {path} as of {work.backup.taken_at:%Y-%m-%d %H:%M:%S} UTC")
    if os.path.lexists(aside.path):
        asides.note(work.settings, msgspec.structs.replace(aside, state="former"))
        work.found(
            "former",
            path,
            Status.OK,
            f"What was {path} before is kept as {aside.path}.",
            undo=f"mv --exchange {aside.path} {path}, or rename both",
            fix=f"courtkeeper vault former {work.request.source} --remove {aside.path}, when not needed",
        )
        work.result.details.setdefault("former", {})[path] = aside.path


def exchange(one: str, other: str) -> None:
    """Let two paths change places in one moment. Raises RestoreError where the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True)
    try:
        call = library.renameat2
    except AttributeError:
        raise RestoreError("this system cannot exchange two paths (renameat2): restore it beside") from None
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE):
        number = ctypes.get_errno()
        cannot = number in (errno.EINVAL, errno.ENOSYS)
        how = "the file system cannot exchange two paths" if cannot else os.strerror(number)
        raise RestoreError(
            f"{other} was not swapped in ({how}): nothing was changed, and what was restored is whole and "
            f"stays as {one}"
        )


def _sync(directory: Path) -> None:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CourtkeeperError(f"{directory} cannot be opened: {error.strerror}") from error
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
