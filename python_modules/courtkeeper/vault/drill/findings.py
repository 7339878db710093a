"""What a drill says, each sentence in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import places
from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.drill.trend import forecast
from courtkeeper.vault.findings import lasted, sized
from courtkeeper.vault.proofs import Check, Proof

# The heartbeat is written as the backup begins: much older data are those of a replica that hangs.
_STALE_S = 3600.0


def of_proof(proof: Proof, policy: DrillPolicy) -> Iterator[Finding]:
    """Say what a drill of one backup showed."""
    subject = f"{proof.source}/{proof.backup}"
    size = sized(proof.plain_bytes)
    yield Finding(
        id="drill.restore",
        subject=subject,
        status=Status.OK if proof.passed else Status.CRIT,
        observed=round(proof.restore_s, 2),
        unit="s",
        summary=f"It was restored from {proof.destination}: {size} in {lasted(proof.restore_s)}, "
        "and is what was backed up."
        if proof.passed
        else f"It was restored from {proof.destination} and is not what was backed up.",
        fix="" if proof.passed else "do not count on this backup: take a new one now, and drill that",
    )
    yield from (of_check(subject, check) for check in proof.checks if check.name != "restore")
    yield from _times(subject, proof, policy)


def of_check(subject: str, check: Check) -> Finding:
    """Say what one check showed. A query that is slow is no fault of the backup."""
    slow = check.passed is None and check.limit is not None and check.observed is not None
    status = {True: Status.OK, False: Status.CRIT, None: Status.WARN if slow else Status.SKIPPED}[
        check.passed
    ]
    return Finding(
        id=f"drill.{check.name.split()[0]}",
        subject=f"{subject}: {check.name}",
        status=status,
        observed=check.observed,
        threshold=check.limit,
        unit=check.unit,
        summary=f"{check.sentence[:1].upper()}{check.sentence[1:]}.",
        fix="do not count on this backup, and look at the server that it was taken from"
        if status is Status.CRIT
        else "look at its plan on the clone's schema"
        if slow
        else "",
    )


def _times(subject: str, proof: Proof, policy: DrillPolicy) -> Iterator[Finding]:
    if proof.rto_s is not None:
        limit = policy.rto_minutes * 60
        late = proof.rto_s > limit
        yield Finding(
            id="drill.rto",
            subject=subject,
            status=Status.CRIT if late else Status.OK,
            observed=round(proof.rto_s, 2),
            threshold=limit,
            unit="s",
            summary=f"From nothing to the first write: {lasted(proof.rto_s)}, agreed are {lasted(limit)}.",
            fix="restore on more processors or a faster disk, keep physical backups too, or agree on more"
            if late
            else "",
        )
    if proof.rpo_s is not None:
        limit = policy.rpo_hours * 3600
        late = proof.rpo_s > limit
        how = {
            "heartbeat": "by the heartbeat",
            "log": "by the last transaction that came back",
        }.get(proof.rpo_from or "", "by the manifest, as there is no heartbeat")
        yield Finding(
            id="drill.rpo",
            subject=subject,
            status=Status.CRIT if late else Status.OK,
            observed=round(proof.rpo_s, 1),
            threshold=limit,
            unit="s",
            summary=f"If everything were lost now, {lasted(proof.rpo_s)} would be ({how}); agreed are "
            f"{lasted(limit)}.",
            fix="back up more often, or archive the write-ahead log" if late else "",
        )


def stale(subject: str, beat: datetime, taken_at: datetime) -> Finding | None:
    """Say that what came back is older than the backup claims."""
    behind = (taken_at - beat).total_seconds()
    if behind < _STALE_S:
        return None
    return Finding(
        id="drill.heartbeat",
        subject=subject,
        status=Status.WARN,
        observed=round(behind),
        threshold=_STALE_S,
        unit="s",
        summary=f"Its newest data are {lasted(behind)} older than the backup itself.",
        fix="see whether a replica that lags was backed up, or nobody wrote for so long",
    )


def failed(subject: str, sentence: str) -> Finding:
    """Say that a backup could not be restored."""
    return Finding(
        id="drill.restore",
        subject=subject,
        status=Status.CRIT,
        summary=f"It could not be restored: {sentence}",
        fix="mend what the sentence names and drill again; until then count on an older, proven backup",
    )


def of_trend(source: str, history: Sequence[Proof], policy: DrillPolicy, now: datetime) -> Iterator[Finding]:
    """Say where RTO, RPO and the rate of restoring go, by the newest backups' drills."""
    drills = [proof for proof in history if proof.source == source and proof.newest and proof.passed]
    drills = drills[-policy.trend :]
    kinds = (
        ("rto", policy.rto_minutes * 60, [(each.drilled_at, each.rto_s) for each in drills]),
        ("rpo", policy.rpo_hours * 3600, [(each.drilled_at, each.rpo_s) for each in drills]),
    )
    for name, limit, found in kinds:
        points = [(at, value) for at, value in found if value is not None]
        line = forecast(points, limit, now=now, horizon_days=policy.horizon_days)
        if line is None:
            continue
        soon = line.reaches_in_days
        when = places.moment(now + timedelta(days=soon)) if soon is not None else ""
        yield Finding(
            id=f"drill.trend.{name}",
            subject=source,
            status=Status.OK if soon is None else Status.WARN,
            observed=round(line.per_day, 3),
            threshold=limit,
            unit="s a day",
            summary=f"{name.upper()} is about {lasted(max(line.value, 0))} and changes by "
            f"{line.per_day:+.2f} s a day"
            + (f": it reaches the agreed {lasted(limit)} by {when}." if soon is not None else "."),
            fix="plan for it now: faster restores, smaller databases, or other limits"
            if soon is not None
            else "",
        )
    yield from _slower(source, drills)


def _slower(source: str, drills: Sequence[Proof]) -> Iterator[Finding]:
    rates = [each.rate_bytes_s for each in drills if each.rate_bytes_s > 0]
    if len(rates) < 4:  # a median of three, and one to compare
        return
    usual = sorted(rates[:-1])[len(rates[:-1]) // 2]
    slow = rates[-1] < usual / 2
    yield Finding(
        id="drill.trend.rate",
        subject=source,
        status=Status.WARN if slow else Status.OK,
        observed=round(rates[-1]),
        threshold=round(usual / 2),
        unit="bytes/s",
        summary=f"It was restored at {sized(rates[-1])}/s; usual are {sized(usual)}/s.",
        fix="look at the disk of the scratch directory and at the destination" if slow else "",
    )


def unwritten(subject: str, sentence: str) -> Finding:
    """Say that the evidence could not be put beside a backup."""
    return Finding(
        id="drill.evidence",
        subject=subject,
        status=Status.WARN,
        summary=f"It came out as it went in, but the evidence could not be stored: {sentence}.",
        fix="mend the destination and drill again; until then retention does not know it is proven",
    )
