"""The backups of a vault, seen over all destinations: what retention, verification and restore read.

A backup is what has a manifest that can be trusted and parts of the sizes that it names. What is there
without a manifest is no backup (a run that was killed, or one that is at work) and never listed as one. A
backup whose manifest is refused, or whose parts are missing or short, is listed among the `problems` of that
destination and does not hide its good copies elsewhere.

Beside the manifest more kinds of objects may lie: `hold.json` (never remove this one),
`proof-<UTC stamp>.json` (evidence of a drill that restored it; the stamp is when) and `damaged.json` (a
verification read it and found other bytes than the manifest's: a problem, and no copy to restore from).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from courtkeeper.vault import manifest as manifests
from courtkeeper.vault import taken
from courtkeeper.vault.destinations.base import Destination, DestinationError, MissingError, Stored, content
from courtkeeper.vault.manifest import Manifest, ManifestError
from courtkeeper.vault.settings import VaultSettings

HOLD = "hold.json"
DAMAGED = "damaged.json"
_PROOF = re.compile(r"proof-(\d{8}T\d{6}Z)(?:-[a-z0-9-]+)?\.json")

Kind = Literal["unreachable", "manifest", "parts", "damaged", "incomplete"]


class Copy(msgspec.Struct, frozen=True):
    """One copy: the destination's name, the bytes that lie there, and when its manifest arrived there."""

    destination: str
    size: int
    stored_at: datetime | None = None


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """One backup, with every good copy. `proven_at`: when a drill last restored it, on any destination."""

    id: str
    vault: str
    source: str
    taken_at: datetime
    plain_size: int
    sealed_size: int
    copies: tuple[Copy, ...]
    manifest: Manifest
    proven_at: datetime | None = None
    held: bool = False

    @property
    def prefix(self) -> str:
        """What the keys of its objects begin with."""
        return self.manifest.prefix

    @property
    def where(self) -> tuple[str, ...]:
        """The names of the destinations that hold a good copy."""
        return tuple(copy.destination for copy in self.copies)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is not as it should be on one destination.

    `unreachable`: it could not be listed. `manifest`: refused. `parts`: missing, or of another size.
    `damaged`: read, and other bytes than the manifest's. `incomplete`: objects without a manifest; a run that
    was killed, or one that is at work. `modified` is when its last object arrived, `size` the bytes of all.
    """

    destination: str
    kind: Kind
    prefix: str
    sentence: str
    modified: datetime | None = None
    size: int = 0
    held: bool = False
    proven_at: datetime | None = None


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """`backups`, the newest first, and what is wrong where. `reached`: destinations that could be listed."""

    backups: tuple[Backup, ...]
    problems: tuple[Problem, ...]
    reached: tuple[str, ...]

    def of(self, source: str) -> tuple[Backup, ...]:
        """Return the backups of one source, the newest first."""
        return tuple(backup for backup in self.backups if backup.source == source)

    def find(self, backup_id: str) -> Backup | None:
        """Return a backup by its id, or None."""
        return next((backup for backup in self.backups if backup.id == backup_id), None)


class _Seen:
    """What lies under one prefix of one destination."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}

    @property
    def modified(self) -> datetime:
        return max(stored.modified for stored in self.objects.values())

    @property
    def size(self) -> int:
        return sum(stored.size for stored in self.objects.values())


def of(settings: VaultSettings, destinations: Sequence[Destination], *, source: str = "") -> Catalog:
    """Load the backups of a vault by its settings: by its signers, and by what this host noted itself."""
    notes = taken.known(settings)
    return load(settings.name, destinations, signers=settings.signers, notes=notes, source=source)


def load(
    vault: str,
    destinations: Sequence[Destination],
    *,
    signers: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    source: str = "",
) -> Catalog:
    """List and read all backups of a vault, or of one of its sources.

    A destination that fails is a problem and hides no other. Where `notes` (see `taken`) know a backup,
    another manifest in its place is refused; where nobody knows which of two is true, neither counts. Costs
    one listing and one small read a copy.
    """
    looking = _Looking(signers, notes or {})
    reached: list[str] = []
    for destination in destinations:
        try:
            looking.look(destination, _listed(vault, source, destination))
        except DestinationError as error:
            looking.problems.append(
                Problem(destination=destination.name, kind="unreachable", prefix="", sentence=str(error))
            )
        else:
            reached.append(destination.name)
    backups = sorted(looking.found.values(), key=lambda backup: (backup.taken_at, backup.id), reverse=True)
    return Catalog(backups=tuple(backups), problems=tuple(looking.problems), reached=tuple(reached))


def outline(vault: str, destination: Destination) -> dict[str, frozenset[tuple[str, int]]]:
    """Return names and sizes of what lies under each manifest's prefix, holds and proofs apart.

    Where two destinations have the same outline, none of them misses what the other has. Reads nothing.
    Raises DestinationError.
    """
    return {
        prefix: frozenset(
            (name, stored.size)
            for name, stored in seen.objects.items()
            if name != HOLD and not _PROOF.fullmatch(name)
        )
        for prefix, seen in _listed(vault, "", destination).items()
        if manifests.NAME in seen.objects
    }


def beside(prefix: str, destination: Destination) -> list[str]:
    """Return the keys of what belongs to a backup besides its parts: its hold, its proofs."""
    names = {stored.key.removeprefix(prefix): stored.key for stored in destination.listing(prefix)}
    return [key for name, key in names.items() if name == HOLD or _PROOF.fullmatch(name)]


def _listed(vault: str, source: str, destination: Destination) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for stored in destination.listing(manifests.prefix_of(vault, source) if source else f"{vault}/"):
        parts = stored.key.split("/")
        if len(parts) == 4 and manifests.is_id(parts[2]):
            seen.setdefault("/".join(parts[:3]) + "/", _Seen()).objects[parts[3]] = stored
    return seen


class _Looking:
    """What was found so far, over the destinations that were looked at."""

    def __init__(self, signers: Sequence[str], notes: Mapping[str, str]) -> None:
        self._signers, self._notes = signers, notes
        self.found: dict[str, Backup] = {}
        self.problems: list[Problem] = []
        self._disputed: set[str] = set()

    def look(self, destination: Destination, listed: Mapping[str, _Seen]) -> None:
        """Add what one destination has.

        A manifest that cannot be read is the problem of that copy; two in a row are the destination's, and
        raise DestinationError.
        """
        failed_before = False
        for prefix, objects in listed.items():
            try:
                self._adopt(destination, prefix, objects)
            except MissingError:
                continue  # pruned since it was listed
            except DestinationError as error:
                if failed_before and error.why != "damaged":
                    raise
                failed_before = error.why != "damaged"
                sentence = f"the manifest of {prefix} on {destination.name} cannot be read: {error}"
                self.problems.append(
                    Problem(
                        destination=destination.name,
                        kind="manifest",
                        prefix=prefix,
                        sentence=sentence,
                        modified=objects.modified,
                        size=objects.size,
                        held=True,  # nobody knows
                    )
                )
            else:
                failed_before = False

    def _adopt(self, destination: Destination, prefix: str, seen: _Seen) -> None:
        """Add one copy to what was found, or to the problems."""

        def problem(kind: Kind, sentence: str) -> None:
            self.problems.append(
                Problem(
                    destination=destination.name,
                    kind=kind,
                    prefix=prefix,
                    sentence=sentence,
                    modified=seen.modified,
                    size=seen.size,
                    held=HOLD in seen.objects,
                    proven_at=max(_proofs(seen.objects), default=None),
                )
            )

        if manifests.NAME not in seen.objects:
            problem("incomplete", f"{prefix} on {destination.name} has no manifest: it is no backup")
            return
        where = f"{prefix}{manifests.NAME} on {destination.name}"
        try:
            manifest = self._read(destination, prefix, where)
        except ManifestError as error:
            problem("manifest", str(error))
            return
        if wrong := _wrong_parts(manifest, seen):
            problem("parts", f"{prefix} on {destination.name} is not whole: {wrong}")
            return
        known = self.found.get(prefix)
        if prefix in self._disputed or (known and known.manifest != manifest):
            problem("manifest", _dispute(where))
            self._disputed.add(prefix)
            self._withdraw(prefix)
            return
        if DAMAGED in seen.objects:
            problem("damaged", f"{prefix} on {destination.name} was found damaged when it was read")
            return
        copy = Copy(destination.name, seen.size, seen.objects[manifests.NAME].modified)
        self.found[prefix] = _with(known, manifest, copy, seen.objects)

    def _read(self, destination: Destination, prefix: str, where: str) -> Manifest:
        file = content(destination, prefix + manifests.NAME, manifests.MAX_BYTES)
        manifest = manifests.read(file, where, self._signers)
        if manifest.prefix != prefix:
            raise ManifestError(f"the manifest {where} is that of {manifest.prefix}: somebody put it there")
        if prefix in self._notes and not taken.is_ours(self._notes, prefix, file):
            raise ManifestError(f"the manifest {where} is not the one that this host wrote: it was replaced")
        return manifest

    def _withdraw(self, prefix: str) -> None:
        """Let a backup no longer count that another copy contradicts."""
        backup = self.found.pop(prefix, None)
        for copy in backup.copies if backup else ():
            where = f"{prefix}{manifests.NAME} on {copy.destination}"
            self.problems.append(
                Problem(
                    destination=copy.destination,
                    kind="manifest",
                    prefix=prefix,
                    sentence=_dispute(where),
                    modified=copy.stored_at,
                    size=copy.size,
                    held=bool(backup and backup.held),
                    proven_at=backup.proven_at if backup else None,
                )
            )


def _dispute(where: str) -> str:
    return (
        f"the manifest {where} is not that of another copy, one of them was tampered with, and nothing says "
        "which: neither counts (once you know, restore with --id and --from; signers would tell)"
    )


def _wrong_parts(manifest: Manifest, seen: _Seen) -> str:
    for part in manifest.parts:
        stored = seen.objects.get(part.name)
        if stored is None:
            return f"{part.name} is missing"
        if stored.size != part.sealed_size:
            return f"{part.name} has {stored.size} bytes instead of {part.sealed_size}"
    return ""


def _with(known: Backup | None, manifest: Manifest, copy: Copy, objects: Iterable[str]) -> Backup:
    names = list(objects)
    proofs = _proofs(names)
    before = known.copies if known else ()
    if known and known.proven_at:
        proofs.append(known.proven_at)
    return Backup(
        id=manifest.id,
        vault=manifest.vault,
        source=manifest.source,
        taken_at=manifest.taken_at,
        plain_size=manifest.plain_size,
        sealed_size=manifest.sealed_size,
        copies=(*before, copy),
        manifest=manifest,
        proven_at=max(proofs, default=None),
        held=HOLD in names or bool(known and known.held),
    )


def _proofs(names: Iterable[str]) -> list[datetime]:
    stamps = [match[1] for name in names if (match := _PROOF.fullmatch(name))]
    return [when for stamp in stamps if (when := _stamp(stamp))]


def _stamp(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:  # 20260299T…
        return None
