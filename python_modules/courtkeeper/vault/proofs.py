"""What drills showed: evidence beside each backup, and a history in the vault's state.

`proof-<UTC stamp>.json` lies beside the manifest of a backup that was restored and found to be what its
manifest says; the catalog reads when from its name, and retention never removes the last proven one. A drill
that failed leaves no proof. Both kinds are in the history, from which the trend is made.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.destinations.base import Destination, DestinationError
from courtkeeper.vault.settings import VaultSettings

_MOST_BYTES = 8 << 20
_KEPT = 1000

Line = TypeVar("Line", bound=msgspec.Struct)


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was looked at. `passed` is null where it could not be; numbers are in `unit`."""

    name: str
    passed: bool | None
    sentence: str
    observed: float | None = None
    limit: float | None = None
    unit: str = ""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One drill of one backup.

    `rto_s`: from the decision to restore to the first committed write. `rpo_s`: from the newest thing that
    came back (`rpo_from`: the heartbeat, or the manifest's time where there is none; `log`: the last
    transaction of one) to the drill; null for old backups, whose age is no measure of it. `rate_bytes_s`:
    plain bytes by seconds of restoring alone.
    """

    format: Literal["courtkeeper-proof"] = "courtkeeper-proof"
    version: int = 1
    vault: str
    source: str
    backup: str
    taken_at: datetime
    drilled_at: datetime
    destination: str
    host: str
    newest: bool
    passed: bool
    plain_bytes: int
    restore_s: float
    rate_bytes_s: float
    rto_s: float | None
    rpo_s: float | None
    rpo_from: Literal["heartbeat", "manifest", "log"] | None
    checks: list[Check]
    software: dict[str, str]


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How fast something was restored, to say how long the next restore should take."""

    at: datetime
    kind: str
    plain_bytes: int
    seconds: float


def name_of(drilled_at: datetime) -> str:
    """Return the object's name, from which the catalog reads when a backup was proven."""
    return f"proof-{drilled_at:%Y%m%dT%H%M%SZ}.json"


def store(backup: Backup, proof: Proof, places: Iterable[Destination]) -> tuple[list[str], list[str]]:
    """Put the evidence beside every good copy; return where it is, and one sentence for each failure."""
    stored, failed = [], []
    content = msgspec.json.format(msgspec.json.encode(proof), indent=1) + b"\n"
    for place in places:
        if place.name in backup.where:
            try:
                place.put(backup.prefix + name_of(proof.drilled_at), content)
            except DestinationError as error:
                failed.append(str(error))
            else:
                stored.append(place.name)
    return stored, failed


def remember(settings: VaultSettings, what: str, line: msgspec.Struct) -> None:
    """Add a line to a history in the vault's state (`drills`, `rates`); nothing without a state directory."""
    path = _path(settings, what)
    if path is None:
        return
    try:
        kept = [*_lines(path)[-_KEPT + 1 :], msgspec.json.encode(line)]
        part = path.with_name(f"{path.name}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(b"\n".join(kept) + b"\n")
            stream.flush()
            os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}): mend state_directory"
        ) from error


def history(settings: VaultSettings, what: str, kind: type[Line]) -> list[Line]:
    """Return a history, the oldest first; a line that cannot be read is left out."""
    path = _path(settings, what)
    found = []
    for line in _lines(path) if path else []:
        with contextlib.suppress(msgspec.MsgspecError, ValueError):
            found.append(msgspec.json.decode(line, type=kind))
    return found


def _path(settings: VaultSettings, what: str) -> Path | None:
    if not settings.state_directory:
        return None
    return Path(settings.state_directory, f"{settings.name}.{what}.jsonl")


def _lines(path: Path) -> list[bytes]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return []
        return [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError:
        return []


def plain(proof: Proof) -> dict[str, object]:
    """Return a proof as a result's details carry it."""
    found: dict[str, object] = msgspec.to_builtins(proof)
    return found
