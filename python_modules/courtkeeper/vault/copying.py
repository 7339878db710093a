"""Copying a backup from a destination that has it to one that does not: sealed bytes, checked on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.destinations.base import Destination, DestinationError
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.unseal import DamagedError, fetch

# What does not pass by itself is not tried again.
_HOPELESS = {"denied", "missing_place", "full"}
_FIRST_PAUSE_S = 0.5


def copy_parts(
    manifest_prefix: str,
    parts: Sequence[Part],
    source: Destination,
    target: Destination,
    *,
    reread: bool = False,
) -> None:
    """Copy parts; one that is there already with the right size is not copied again.

    `reread`: it is read first, as another run left it there, and copied unless its SHA-256 is right. Raises
    DestinationError. A part that does not have its SHA-256 at the source never becomes visible at the target.
    """
    for part in parts:
        there = target.stat(manifest_prefix + part.name)
        if (
            there is None
            or there.size != part.sealed_size
            or (reread and not _good(manifest_prefix, part, target))
        ):
            _copy(manifest_prefix, part, source, target)


def _good(prefix: str, part: Part, target: Destination) -> bool:
    try:
        for _ in fetch(target, prefix, part):
            pass
    except DamagedError:
        return False
    return True


def _copy(prefix: str, part: Part, source: Destination, target: Destination) -> None:
    upload = target.begin(prefix + part.name, part.sealed_size)
    try:
        for chunk in fetch(source, prefix, part):
            upload.write(chunk)
        upload.commit()
    except BaseException:
        upload.abort()
        raise


def copy_backup(manifest: Manifest, file: bytes, source: Destination, target: Destination) -> None:
    """Copy a whole backup, its manifest (`file`: its bytes) last, where it is not there already.

    What the target has of it is read before it is believed. Raises DestinationError.
    """
    copy_parts(manifest.prefix, manifest.parts, source, target, reread=True)
    if target.stat(manifest.prefix + manifests.NAME) is None:
        target.put(manifest.prefix + manifests.NAME, file)


def tried(
    work: Callable[[], None], attempts: int, pause: Callable[[float], None] = time.sleep
) -> DestinationError | None:
    """Do `work` up to `attempts` times, with pauses that double; return the last error, None if done."""
    error: DestinationError | None = None
    for attempt in range(attempts):
        if attempt:
            pause(_FIRST_PAUSE_S * 2 ** (attempt - 1))
        try:
            work()
        except DestinationError as problem:
            error = problem
            if problem.why in _HOPELESS:
                return error
        else:
            return None
    return error
