"""Whether the newest backup is about as large as those before it, and holds what they held.

The limits are the policy's: by default a part that is 30 % smaller than the median of the seven before it, or
four times as large, is a finding, as is a part or a table that the backup before had, or a recipient: whoever
can change the recipients could else take the backups hostage without a sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import places
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.findings import sized
from courtkeeper.vault.manifest import Manifest
from courtkeeper.vault.policy import VerifyPolicy

# Below it, one more role or index in the catalog is a large share.
_SMALL_BYTES = 16 << 10
_NAMED = 5


def findings(vault: str, source: str, backups: Sequence[Backup], policy: VerifyPolicy) -> Iterator[Finding]:
    """Compare the newest of `backups` (newest first, of one source) with those before it."""
    if not backups:
        return
    newest, before = backups[0].manifest, [backup.manifest for backup in backups[1 : policy.trend + 1]]
    subject = places.subject(vault, source)
    if not before:
        yield Finding(
            id="vault.trend",
            subject=subject,
            status=Status.OK,
            observed=newest.plain_size,
            unit="bytes",
            summary=f"It is {sized(newest.plain_size)}; the first one has nothing to be compared with.",
        )
        return
    found = [*_sizes(subject, newest, before, policy), *_gone(subject, newest, before[0])]
    found += _keys(subject, newest, before)
    yield from found
    if not found:
        usual = median(manifest.plain_size for manifest in before)
        yield Finding(
            id="vault.trend",
            subject=subject,
            status=Status.OK,
            observed=newest.plain_size,
            threshold=round(usual),
            unit="bytes",
            summary=f"It is {sized(newest.plain_size)}; usual is {sized(usual)}.",
        )


def _sizes(
    subject: str, newest: Manifest, before: Sequence[Manifest], policy: VerifyPolicy
) -> Iterator[Finding]:
    for part in newest.parts:
        sizes = [other.plain_size for each in before for other in each.parts if other.name == part.name]
        usual = median(sizes) if sizes else 0
        if usual < _SMALL_BYTES:
            continue
        share = part.plain_size / usual
        if share <= 1 - policy.shrunk:
            limit, text = usual * (1 - policy.shrunk), f"{1 - share:.0%} smaller than usual"
        elif share >= policy.grown:
            limit, text = usual * policy.grown, f"{share:.1f} times as large as usual"
        else:
            continue
        yield Finding(
            id="vault.trend",
            subject=f"{subject}: {part.name}",
            status=Status.WARN,
            observed=part.plain_size,
            threshold=round(limit),
            unit="bytes",
            summary=f"It is {text}: {sized(part.plain_size)} instead of {sized(usual)}.",
            fix="look whether the data were meant to change so; hold an older backup if they were not "
            "(courtkeeper vault hold)",
        )


def _gone(subject: str, newest: Manifest, last: Manifest) -> Iterator[Finding]:
    names = {part.name for part in newest.parts}
    missing = [part.name for part in last.parts if part.name not in names]
    tables = {(part.name, table.qualified) for part in newest.parts for table in part.tables}
    dropped = [
        f"{part.database or part.name}: {table.qualified}"
        for part in last.parts
        if part.name in names
        for table in part.tables
        if (part.name, table.qualified) not in tables
    ]
    for kind, what in (("parts", missing), ("tables", dropped)):
        if what:
            yield Finding(
                id="vault.trend",
                subject=f"{subject}: {kind}",
                status=Status.WARN,
                observed=len(what),
                threshold=0,
                unit=kind,
                summary=f"The backup before ({last.id}) has {kind} that are not in this one: {_named(what)}.",
                fix="look whether they were meant to go; hold the older backup if they were not "
                "(courtkeeper vault hold)",
            )


def _keys(subject: str, newest: Manifest, before: Sequence[Manifest]) -> Iterator[Finding]:
    """Name who could open the backups before and cannot open this one."""
    replaced = {each.resealed_from for each in [newest, *before]}
    known = {each for other in before if other.id not in replaced for each in other.recipients}
    out = sorted(known - set(newest.recipients))
    if out:
        yield Finding(
            id="vault.recipients",
            subject=subject,
            status=Status.WARN,
            observed=len(out),
            threshold=0,
            unit="recipients",
            summary=f"It is not sealed for {_named(out)}, as those before it are: that key does not open it.",
            fix="after a change of keys on purpose: courtkeeper vault keys reseal; else find out who changed "
            "the recipients, and back up again, before the older backups are gone",
        )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
