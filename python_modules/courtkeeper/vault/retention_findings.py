"""What a person has to look at before a plan of what stays can do all it should."""

from __future__ import annotations

from collections.abc import Sequence

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import retention
from courtkeeper.vault.retention import Plan

_SHOWN = 3


def findings(made: Plan, subject: str) -> list[Finding]:
    """Return what is wrong with the backups that `made` was made from; nothing where all is well."""
    kept: dict[str, list[str]] = {}
    for each in made.keep:
        for reason in each.reasons:
            kept.setdefault(reason, []).append(each.id)
    found = []
    if ids := kept.get(retention.ONLY_BROKEN):
        found.append(
            _finding(
                ("none_good", subject, Status.CRIT),
                f"No backup is good, so {_named(ids)} and everything else stays as it is.",
                len(ids),
                fix="take a backup now, and look at why these are broken",
            )
        )
    if ids := kept.get(retention.FUTURE):
        found.append(
            _finding(
                ("future", subject, Status.WARN),
                f"{_named(ids)}: dated in the future. It is kept, and counts for no day, week or month.",
                len(ids),
                fix="look at the clock of the host that took it (timedatectl)",
            )
        )
    if ids := kept.get(retention.DOUBTFUL):
        found.append(
            _finding(
                ("doubtful", subject, Status.WARN),
                f"{_named(ids)}: arrived more than {retention.UNDERWAY.days} days after its date. "
                f"It is kept for {retention.DOUBT.days} days, as the date may be wrong.",
                len(ids),
                fix="look at the clock of the host that took it; a copy made later needs nothing",
            )
        )
    found += [
        Finding(
            id="backup.retention.point",
            subject=subject,
            status=Status.CRIT,
            observed=point.isoformat(),
            summary=f"The promised point {point.isoformat()} is lost: no good backup is as old as that.",
            fix="take the point out of the policy, and look for what removed its base",
        )
        for point in made.unreachable
    ]
    return found


def _finding(what: tuple[str, str, Status], summary: str, observed: int, *, fix: str) -> Finding:
    name, subject, status = what
    return Finding(
        id=f"backup.retention.{name}",
        subject=subject,
        status=status,
        observed=observed,
        unit="backups",
        summary=summary,
        fix=fix,
    )


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more
