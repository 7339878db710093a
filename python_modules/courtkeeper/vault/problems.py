"""What the catalog found wrong: a destination that is away, a forged manifest, parts that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from courtkeeper.findings import Finding, Status
from courtkeeper.vault.catalog import Catalog, Problem

_FIX = {
    "unreachable": "mend the destination; the others were looked at",
    "manifest": "restore from another copy, find out who changed it, and remove it by hand",
    "parts": "run a backup, which mends it from another copy; without one retention removes it some day",
    "damaged": "look at the disk, or ask the store; a backup mends this copy from another one",
    "incomplete": "nothing: pruning removes it",
}
_ID = {
    "unreachable": "vault.destination",
    "manifest": "vault.manifest",
    "parts": "vault.parts",
    "damaged": "vault.damaged",
    "incomplete": "vault.leftover",
}


def findings(seen: Catalog, *, leftovers_hours: float, now: datetime) -> Iterator[Finding]:
    """Return a finding for each problem; what may still be a run at work is none."""
    for problem in seen.problems:
        if problem.kind == "incomplete" and _young(problem, leftovers_hours, now):
            continue
        yield Finding(
            id=_ID[problem.kind],
            subject=f"{problem.prefix.rstrip('/')} on {problem.destination}"
            if problem.prefix
            else problem.destination,
            status=Status.WARN if problem.kind == "incomplete" else Status.CRIT,
            summary=f"{problem.sentence[:1].upper()}{problem.sentence[1:]}.",
            fix=_FIX[problem.kind],
        )
    for name in seen.reached:
        whole = sum(name in backup.where for backup in seen.backups)
        yield Finding(
            id="vault.destination",
            subject=name,
            status=Status.OK,
            observed=whole,
            unit="backups",
            summary=f"It answers, and has {whole} whole {'backup' if whole == 1 else 'backups'}.",
        )


def unreachable(seen: Catalog) -> Iterator[Finding]:
    """Return a finding for each destination that could not be looked at, and for nothing else."""
    yield from (
        finding
        for finding in findings(seen, leftovers_hours=0, now=datetime.max.replace(tzinfo=UTC))
        if finding.id == _ID["unreachable"] and finding.status is Status.CRIT
    )


def _young(problem: Problem, hours: float, now: datetime) -> bool:
    return problem.modified is None or now - problem.modified < timedelta(hours=hours)
