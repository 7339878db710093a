"""Which backup is restored, and from which of its copies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from pyrage import x25519

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.vault import keys
from courtkeeper.vault.catalog import Backup, Catalog
from courtkeeper.vault.destinations.base import Destination, DestinationError
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.settings import VaultSettings
from courtkeeper.vault.unseal import WrongKeyError, unseal

Done = TypeVar("Done")


class _Enough(Exception):  # noqa: N818 - no error
    """It opens: no more is to be read."""


def identities(settings: VaultSettings) -> list[x25519.Identity]:
    """Return the keys that open backups. Raises ConfigurationError where none are at hand."""
    if not settings.identity_file:
        raise ConfigurationError(
            "identity_file is empty: a backup opens only with the private key, which is kept outside the "
            "platform; name its file (0600)"
        )
    return keys.identities(settings.identity_file)


def chosen(
    seen: Catalog,
    source: str,
    *,
    backup_id: str = "",
    until: datetime | None = None,
    destination: str = "",
) -> Backup:
    """Return the backup of that id, or the newest of the source that was taken no later than `until`.

    Raises ConfigurationError where there is none that is whole and whose manifest can be trusted.
    """
    whole = [each for each in seen.of(source) if not destination or destination in each.where]
    if backup_id:
        found = [each for each in whole if each.id == backup_id]
    else:
        found = [each for each in whole if until is None or each.taken_at <= until]
    if found:
        return found[0]
    wrong = [each.sentence for each in seen.problems if not backup_id or backup_id in each.prefix]
    what = f"the backup {backup_id!r}" if backup_id else "a backup"
    when = f" taken by {until:%Y-%m-%d %H:%M:%S} UTC" if until and not backup_id else ""
    told = f" ({'; '.join(wrong[:3])})" if wrong else ""
    raise ConfigurationError(
        f"the vault has no {what.removeprefix('a ').removeprefix('the ')} of {source}{when} that is whole"
        f"{told}: look at `courtkeeper vault list`"
    )


def from_copies(
    backup: Backup,
    places: Mapping[str, Destination],
    work: Callable[[Destination], Done],
    *,
    first: str = "",
) -> Done:
    """Do `work` with one copy after the other until one does; `work` begins anew each time.

    Raises WrongKeyError at once, and the last copy's DestinationError where none was good.
    """
    names = sorted((name for name in backup.where if name in places), key=lambda name: name != first)
    problem: DestinationError | None = None
    for name in names:
        try:
            return work(places[name])
        except WrongKeyError:
            raise
        except DestinationError as error:
            problem = error
    raise problem or CourtkeeperError(f"no destination at hand has {backup.prefix}")


def require_key(
    backup: Backup, parts: Sequence[Part], place: Destination, opening: Sequence[x25519.Identity]
) -> None:
    """See that an identity opens every part, by its beginning. Raises WrongKeyError, DestinationError."""

    def enough(_: bytes) -> None:
        raise _Enough

    for part in parts:
        if part.plain_size:
            try:
                unseal(place, backup.prefix, part, opening, enough)
            except _Enough:
                continue
