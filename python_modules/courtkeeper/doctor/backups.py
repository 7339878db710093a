"""The vault: its settings, its keys, and whether its destinations answer."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from courtkeeper.doctor import Patient, finding
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Status
from courtkeeper.vault import catalog, keys, told
from courtkeeper.vault.destinations import destination
from courtkeeper.vault.settings import VaultSettings


def vault(patient: Patient) -> Iterator[Finding]:
    """The vault that this machine knows."""
    try:
        path = told.path_of("", patient.root)
    except ConfigurationError:
        text = "No settings of a vault lie here: the job backup_verify writes them."
        yield finding(
            "vault", "", Status.SKIPPED, text, "run backup and backup_verify, where backups are wanted"
        )
        return
    try:
        settings = told.vault_file(path)
    except CourtkeeperError as error:
        yield finding("vault", str(path), Status.CRIT, f"{error}.", "mend the file")
        return
    yield finding("vault", settings.name, Status.OK, f"The settings are in {path}.")
    yield from _keys(settings)
    yield from _destinations(settings)


def _keys(settings: VaultSettings) -> Iterator[Finding]:
    for name in ("identity_file", "signing_key_file"):
        where = getattr(settings, name, "")
        if not where:
            continue
        path = Path(where)
        if not path.exists():
            # It opens backups; where only backups are taken it has no business.
            text = f"{path} is not here: no backup can be opened on this machine."
            yield finding("keys", str(path), Status.WARN, text, "have it where drills and restores run")
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            text = f"{path} can be read by others (mode {mode:04o})."
            yield finding("keys", str(path), Status.CRIT, text, f"chmod 600 {path}", f"{mode:04o}")
            continue
        try:
            (keys.identities if name == "identity_file" else keys.signing_key)(where)
        except ConfigurationError as error:
            yield finding("keys", str(path), Status.CRIT, f"{error}.", "put the right key there")
        else:
            yield finding("keys", str(path), Status.OK, "It holds a key, and is its owner's alone.")


def _destinations(settings: VaultSettings) -> Iterator[Finding]:
    places = [destination(entry) for entry in settings.destinations]
    seen = catalog.load(settings.name, places, signers=settings.signers)
    for place in places:
        trouble = [each.sentence for each in seen.problems if each.destination == place.name]
        if place.name not in seen.reached:
            text = f"{place.name} does not answer: {'; '.join(trouble[:1])}"
            yield finding("destination", place.name, Status.CRIT, text, "mend the destination or its address")
        else:
            count = sum(place.name in backup.where for backup in seen.backups)
            yield finding("destination", place.name, Status.OK, f"It holds {count} backups.", observed=count)


CHECKS = (vault,)
