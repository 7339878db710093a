"""Read a copy of a backup: whole, with all its hashes, opened where an identity is at hand; or a part of it.

What is read goes nowhere: memory stays the same for any size, and nothing is written to a disk.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import msgspec
from pyrage import x25519

from courtkeeper.vault import archives
from courtkeeper.vault.destinations import Destination, DestinationError
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.unseal import DamagedError, WrongKeyError, fetch, unseal

_BLOCK = 1 << 20
# Blocks of a part that is not read whole: its beginning, its end, and some between.
_SAMPLES = 4
_AGE = b"age-encryption.org/v1\n"

Progress = Callable[[int], None]


class Reading(msgspec.Struct, kw_only=True):
    """What reading one copy gave. `whole`: every byte, and every hash of sealed bytes.

    `opened`: decrypted too, so that the hashes of plain bytes are right and `entries` were listed. `damaged`
    and `wrong_key` are sentences; `unlisted` says why an archive could not be listed, `wrong` what is wrong
    with one whose bytes are those that were written.
    """

    whole: bool
    opened: bool = False
    size: int = 0
    entries: int = 0
    damaged: str = ""
    wrong_key: str = ""
    wrong: list[str] = msgspec.field(default_factory=list)
    unlisted: list[str] = msgspec.field(default_factory=list)


def whole(
    destination: Destination,
    manifest: Manifest,
    identities: Sequence[x25519.Identity],
    *,
    bin_directory: str = "",
    progress: Progress = lambda _: None,
) -> Reading:
    """Read every part. Raises DestinationError where the destination fails (damage is in the result).

    Damage is believed when it is seen twice: what a network did to the first reading is no damage.
    """
    found = Reading(whole=True, opened=bool(identities))
    for part in manifest.parts:
        try:
            _read(destination, manifest, part, identities, bin_directory, found)
        except DamagedError:
            try:
                _read(destination, manifest, part, identities, bin_directory, found)
            except DamagedError as error:
                found.damaged = str(error)
                return found
        progress(part.sealed_size)
    return found


def _read(
    destination: Destination,
    manifest: Manifest,
    part: Part,
    identities: Sequence[x25519.Identity],
    bin_directory: str,
    found: Reading,
) -> None:
    if found.opened:
        try:
            _opened(destination, manifest, part, identities, bin_directory, found)
        except WrongKeyError as error:
            found.opened, found.wrong_key = False, str(error)
    if not found.opened:
        for _ in fetch(destination, manifest.prefix, part):
            pass
    found.size += part.sealed_size


def _opened(
    destination: Destination,
    manifest: Manifest,
    part: Part,
    identities: Sequence[x25519.Identity],
    bin_directory: str,
    found: Reading,
) -> None:
    lister = archives.lister(part, bin_directory)
    try:
        unseal(destination, manifest.prefix, part, identities, lister.write)
    finally:
        listing = lister.finish()
    found.entries += listing.entries
    if listing.wrong:
        found.wrong.append(f"{part.name}: {listing.wrong}")
    if listing.unknown:
        found.unlisted.append(f"{part.name}: {listing.unknown}")


def in_part(destination: Destination, manifest: Manifest, chance: random.Random) -> Reading:
    """Read the beginning, the end and some blocks of every part. Raises DestinationError.

    It shows that the store gives out what it lists, and that it begins as a sealed file does; no hash.
    """
    found = Reading(whole=False)
    for part in manifest.parts:
        last = max(part.sealed_size - _BLOCK, 0)
        offsets = sorted({0, last, *(chance.randrange(last + 1) for _ in range(_SAMPLES))})
        for offset in offsets:
            expected = min(_BLOCK, part.sealed_size - offset)
            block = b"".join(destination.read(manifest.prefix + part.name, offset, expected))
            found.size += len(block)
            if len(block) != expected:
                found.damaged = f"{manifest.prefix}{part.name} on {destination.name} ends before its end"
            elif not offset and not block.startswith(_AGE):
                found.damaged = f"{manifest.prefix}{part.name} on {destination.name} is no file sealed by age"
    return found


__all__ = ["DestinationError", "Reading", "in_part", "whole"]
