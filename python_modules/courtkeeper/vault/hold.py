"""Holding a backup: while `hold.json` lies beside its manifest, no retention removes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from courtkeeper.findings import ConfigurationError, Finding, Result, Status
from courtkeeper.vault import catalog, problems
from courtkeeper.vault.destinations import Destination, DestinationError


def hold(
    vault: str,
    destinations: Sequence[Destination],
    backup_id: str,
    reason: str,
    *,
    now: datetime,
    signers: Sequence[str] = (),
) -> Result:
    """Keep a backup until it is released, on every destination that has it.

    Raises ConfigurationError where no destination that was reached has it.
    """
    note = msgspec.json.encode({"held_at": now.isoformat(), "reason": reason})

    def change(destination: Destination, key: str) -> bool:
        if destination.stat(key):
            return False
        destination.put(key, note)
        return True

    return _changed(vault, destinations, backup_id, signers, "hold", change)


def release(
    vault: str, destinations: Sequence[Destination], backup_id: str, *, signers: Sequence[str] = ()
) -> Result:
    """Leave a backup to retention again. Raises ConfigurationError as `hold` does."""

    def change(destination: Destination, key: str) -> bool:
        if not destination.stat(key):
            return False
        destination.delete(key)
        return True

    return _changed(vault, destinations, backup_id, signers, "release", change)


def _changed(
    vault: str,
    destinations: Sequence[Destination],
    backup_id: str,
    signers: Sequence[str],
    verb: str,
    change: Callable[[Destination, str], bool],
) -> Result:
    seen = catalog.load(vault, destinations, signers=signers)
    backup = seen.find(backup_id)
    result = Result(findings=list(problems.unreachable(seen)))
    if backup is None:
        away = ", ".join(finding.subject for finding in result.findings)
        raise ConfigurationError(
            f"the vault {vault} has no backup {backup_id!r}: look at `courtkeeper vault list`"
            + (f" (not asked: {away})" if away else "")
        )
    for destination in destinations:
        if destination.name not in backup.where:
            continue
        try:
            if change(destination, backup.prefix + catalog.HOLD):
                result.actions.append(f"{verb} {backup.prefix.rstrip('/')} on {destination.name}")
        except DestinationError as error:
            result.findings.append(
                Finding(
                    id="vault.hold",
                    subject=f"{backup.prefix.rstrip('/')} on {destination.name}",
                    status=Status.CRIT,
                    summary=f"Could not {verb} it there: {error}",
                    fix=f"mend the destination and {verb} it again",
                )
            )
    result.changed = bool(result.actions)
    done = {"hold": "is held: nothing removes it", "release": "is left to retention"}[verb]
    result.msg = f"{backup.source} {backup.id} {done}."
    return result
