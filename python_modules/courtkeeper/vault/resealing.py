"""Rotation of keys: backups that were sealed for other recipients are sealed anew for today's.

A sealed file cannot be changed where it lies, so each backup becomes a second one with the same content, time
and a manifest that names the first (`resealed_from`). It is written as any backup is, the manifest last, and
the first stays as it was until it is removed on request. What a store does not let go (object lock), and that
whoever has the old key can still open what is left, is said by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from pyrage import x25519

from courtkeeper.findings import CourtkeeperError, Finding, Result, Status
from courtkeeper.vault import catalog, keys, recipients, taken
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.catalog import HOLD, Backup, Catalog
from courtkeeper.vault.destinations import Destination, DestinationError, destination
from courtkeeper.vault.lock import alone
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.pipe import seal
from courtkeeper.vault.settings import VaultSettings
from courtkeeper.vault.unseal import unseal_packed

Progress = Callable[[int, int, str], None]


def reseal(
    settings: VaultSettings,
    *,
    remove_old: bool = False,
    check_mode: bool = False,
    progress: Progress = lambda _done, _total, _text: None,
) -> Result:
    """Seal every backup of a vault for today's recipients that is not.

    Needs the old identities (`identity_file`). A backup that cannot be opened is a critical finding and does
    not keep the others from their turn. `remove_old` removes the first of a pair, also of pairs that an
    earlier run made, once the second is on every destination that has the first. Raises ConfigurationError,
    and BusyError where a backup is at work.
    """
    places = {entry.name: destination(entry) for entry in settings.destinations}
    with alone(settings):
        seen = catalog.of(settings, list(places.values()))
        resealing = _Resealing(settings, places, check_mode=check_mode)
        outdated = [backup for backup in seen.backups if not resealing.is_current(backup, seen)]
        for number, backup in enumerate(outdated):
            progress(number, len(outdated), f"sealing {backup.source} {backup.id} anew")
            resealing.one(backup)
        if remove_old:
            again = catalog.of(settings, list(places.values()))
            resealing.remove(again)
    result = resealing.result
    result.changed = bool(result.actions)
    result.metrics = {"outdated_count": len(outdated)}
    result.msg = f"{len(outdated)} backups were sealed for other recipients than today's"
    return result


class _Resealing:
    """One run."""

    def __init__(self, settings: VaultSettings, places: dict[str, Destination], *, check_mode: bool) -> None:
        self._settings, self._places, self._check_mode = settings, places, check_mode
        self._recipients = recipients.parsed(settings.recipients)
        self._key = keys.signing_key(settings.signing_key_file) if settings.signing_key_file else None
        self._identities: list[x25519.Identity] = keys.identities(settings.identity_file)
        self.result = Result()

    def is_current(self, backup: Backup, seen: Catalog) -> bool:
        """Tell whether a backup, or another that copies it, is sealed for today's recipients and no other."""
        wanted = set(self._settings.recipients)
        return any(set(other.manifest.recipients) == wanted for other in [backup, *_copies(backup, seen)])

    def one(self, backup: Backup) -> None:
        """Seal one backup anew, on every destination that has it."""
        new_id = manifests.new_id(backup.taken_at)
        if self._check_mode:
            self.result.actions.append(f"seal {backup.source} {backup.id} anew")
            return
        try:
            manifest, where = self._sealed(backup, new_id)
        except CourtkeeperError as error:
            self._say(
                "vault.reseal.failed", backup, Status.CRIT, f"{backup.id} cannot be sealed anew: {error}"
            )
            return
        missing = [name for name in backup.where if name not in where]
        if missing:
            text = f"{new_id}, which replaces {backup.id}, is not on {', '.join(missing)}"
            self._say("vault.reseal.partial", backup, Status.WARN, text)
        self.result.actions.append(f"sealed {backup.source} {backup.id} anew as {manifest.id}")

    def _sealed(self, backup: Backup, new_id: str) -> tuple[Manifest, list[str]]:
        targets = [self._places[name] for name in backup.where]
        source = targets[0]
        prefix = manifests.prefix_of(backup.vault, backup.source, new_id)
        parts: list[Part] = []
        for part in backup.manifest.parts:
            sealed = seal(
                partial(unseal_packed, source, backup.prefix, part, self._identities),
                prefix + part.name,
                targets,
                self._recipients,
                self._settings.pace,
                expected=part.sealed_size,
                packed=True,
            )
            targets = [entry for entry in targets if entry.name in sealed.good]
            parts.append(
                msgspec.structs.replace(
                    part, sealed_size=sealed.sealed_size, sealed_sha256=sealed.sealed_sha256
                )
            )
        manifest = msgspec.structs.replace(
            backup.manifest,
            id=new_id,
            parts=parts,
            recipients=list(self._settings.recipients),
            resealed_from=backup.id,
        )
        return manifest, self._written(backup, manifest, targets)

    def _written(self, backup: Backup, manifest: Manifest, targets: Sequence[Destination]) -> list[str]:
        file = manifests.write(manifest, self._key)
        taken.note(self._settings, manifest.prefix, file)
        where, error = [], None
        for entry in targets:
            try:
                if backup.held:
                    entry.put(manifest.prefix + HOLD, b'{"reason":"held as the backup that this replaces"}')
                entry.put(manifest.prefix + manifests.NAME, file)
            except DestinationError as problem:
                error = problem
            else:
                where.append(entry.name)
        if error is not None and not where:
            raise error
        return where

    def remove(self, seen: Catalog) -> None:
        """Remove what has been replaced, the manifest first, where the replacement is as well spread."""
        wanted = set(self._settings.recipients)
        for old in seen.backups:
            copies = [other for other in _copies(old, seen) if set(other.manifest.recipients) == wanted]
            if not copies or set(old.manifest.recipients) == wanted:
                continue
            new = copies[0]
            if not set(old.where) <= set(new.where):
                text = f"{old.id} stays: {new.id}, which replaces it, is not on all its destinations"
                self._say("vault.reseal.kept", old, Status.WARN, text)
            elif self._check_mode:
                self.result.actions.append(f"remove {old.source} {old.id}, which {new.id} replaces")
            else:
                self._removed(old, new)

    def _removed(self, old: Backup, new: Backup) -> None:
        try:
            for name in old.where:
                entry = self._places[name]
                keys_there = [stored.key for stored in entry.listing(old.prefix)]
                for key in sorted(keys_there, key=lambda key: not key.endswith(manifests.NAME)):
                    entry.delete(key)
        except DestinationError as error:
            text = f"{old.id} cannot be removed, and the old key still opens it: {error}"
            self._say("vault.reseal.kept", old, Status.CRIT, text)
        else:
            self.result.actions.append(f"removed {old.source} {old.id}, which {new.id} replaces")

    def _say(self, finding_id: str, backup: Backup, status: Status, summary: str) -> None:
        self.result.findings.append(
            Finding(
                id=finding_id,
                subject=f"{backup.source}/{backup.id}",
                status=status,
                summary=f"{summary}.",
                fix="mend what the sentence names and run it again; nothing was lost",
            )
        )


def _copies(backup: Backup, seen: Catalog) -> list[Backup]:
    """Return the backups that were made of this one by sealing it anew, once or several times."""
    ids, found = {backup.id}, []
    for other in sorted(seen.backups, key=lambda one: one.copies[0].stored_at or one.taken_at):
        if other.manifest.resealed_from in ids:
            ids.add(other.id)
            found.append(other)
    return found
