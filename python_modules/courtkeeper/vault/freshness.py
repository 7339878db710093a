"""Whether every source that was declared has a backup that is young enough, in every place, and proven.

It asks for what should be there, so a backup that never ran is seen like one that failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import places
from courtkeeper.vault.catalog import Backup, Catalog
from courtkeeper.vault.policy import VerifyPolicy

# As in retention: clocks of hosts that keep their time are closer together.
_CLOCK = timedelta(minutes=10)


def findings(
    vault: str, declared: Sequence[str], seen: Catalog, policy: VerifyPolicy, now: datetime
) -> Iterator[Finding]:
    """Judge each declared source: its newest backup, that of each destination, and its last drill."""
    yield from _clock(vault, seen, now)
    for source in declared:
        past = [backup for backup in seen.of(source) if backup.taken_at <= now + _CLOCK]
        fresh = _fresh(vault, source, past, seen, policy.fresh_for(source), now)
        yield fresh
        if past:
            yield from _copies(vault, source, past, seen.reached, policy.fresh_for(source), now)
            yield _proven(vault, source, past, policy.proven_days, now)


def newest(seen: Catalog, source: str, now: datetime, destination: str = "") -> Backup | None:
    """Return the newest backup of a source, or of those on one destination, that is not of the future."""
    return next(
        (
            backup
            for backup in seen.of(source)
            if backup.taken_at <= now + _CLOCK and (not destination or destination in backup.where)
        ),
        None,
    )


def _clock(vault: str, seen: Catalog, now: datetime) -> Iterator[Finding]:
    ahead = [backup for backup in seen.backups if backup.taken_at > now + _CLOCK]
    arrived = [
        copy.stored_at
        for backup in seen.backups
        for copy in backup.copies
        if copy.stored_at is not None and copy.stored_at > now + _CLOCK
    ]
    if ahead or arrived:
        latest = max([*arrived, *(backup.taken_at for backup in ahead)])
        yield Finding(
            id="vault.clock",
            subject=vault,
            status=Status.WARN,
            observed=latest.isoformat(),
            threshold=now.isoformat(),
            summary=f"It is {places.moment(now)} here, and there are backups of {places.moment(latest)}: "
            "one of the clocks is wrong, and ages cannot be trusted.",
            fix="see that this host and those that take backups keep their time (chrony, systemd-timesyncd)",
        )


def _fresh(
    vault: str, source: str, past: Sequence[Backup], seen: Catalog, hours: float, now: datetime
) -> Finding:
    subject = places.subject(vault, source)
    if not past:
        known = bool(seen.reached)
        return Finding(
            id="vault.fresh",
            subject=subject,
            status=Status.CRIT if known else Status.UNKNOWN,
            observed=0,
            unit="backups",
            summary="There is no backup of it."
            if known
            else "No destination could be asked for its backups.",
            fix="run the backup now, and look at why it did not run" if known else "mend the destinations",
        )
    age = (now - past[0].taken_at) / timedelta(hours=1)
    good = age <= hours
    old = places.age(past[0].taken_at, now)
    return Finding(
        id="vault.fresh",
        subject=subject,
        status=Status.OK if good else Status.CRIT,
        observed=round(max(age, 0), 2),
        threshold=hours,
        unit="hours",
        summary=f"Its newest backup is {old} old, on {', '.join(past[0].where)}."
        if good
        else f"A backup is missing: the newest is {old} old.",
        fix="" if good else "run the backup now, and look at why it did not run",
    )


def _copies(
    vault: str, source: str, past: Sequence[Backup], reached: Sequence[str], hours: float, now: datetime
) -> Iterator[Finding]:
    """Name each destination that lags behind the newest backup by more than the source may be old."""
    for name in reached:
        last = next((backup for backup in past if name in backup.where), None)
        if last is past[0]:
            continue
        lag = (past[0].taken_at - last.taken_at) / timedelta(hours=1) if last else None
        if last is not None and (now - last.taken_at) / timedelta(hours=1) <= hours:
            continue
        yield Finding(
            id="vault.copy",
            subject=places.subject(vault, source, name),
            status=Status.WARN,
            observed=None if lag is None else round(lag, 2),
            threshold=hours,
            unit="hours",
            summary=f"{name} misses the newest; its own is {places.age(last.taken_at, now)} old."
            if last
            else f"{name} has no backup of it.",
            fix="see why the last backups did not get there; the next one copies there what it missed",
        )


def _proven(vault: str, source: str, past: Sequence[Backup], days: float, now: datetime) -> Finding:
    times = [backup.proven_at for backup in past if backup.proven_at]
    subject = places.subject(vault, source)
    if not times:
        return Finding(
            id="vault.proven",
            subject=subject,
            status=Status.WARN,
            summary="None of its backups was ever restored by a drill: they are a hope.",
            fix="run the drill",
        )
    last = max(times)
    good = now - last <= timedelta(days=days)
    return Finding(
        id="vault.proven",
        subject=subject,
        status=Status.OK if good else Status.WARN,
        observed=round((now - last) / timedelta(days=1), 1),
        threshold=days,
        unit="days",
        summary=f"A drill last restored one of its backups {places.age(last, now)} ago.",
        fix="" if good else "run the drill",
    )
