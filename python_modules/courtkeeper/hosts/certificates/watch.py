"""Look at certificates that others manage, in files and at endpoints. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from courtkeeper.findings import Finding, Result, Status, worst
from courtkeeper.hosts.certificates import judge, served, x509
from courtkeeper.hosts.certificates.settings import Endpoint, Limits, Settings, Watched

AT_ONCE = 8  # an endpoint that does not answer takes seconds


class Looked(msgspec.Struct, frozen=True):
    """What a look at one certificate found, and when it expires (None: it could not be read)."""

    findings: list[Finding]
    not_after: datetime | None = None


def look(watched: Watched, *, now: datetime, limits: Limits, roots: judge.Roots | None) -> Looked:
    """Return what one watched certificate is like."""
    name = watched.name or ("" if watched.file else watched.host)
    try:
        if watched.file:
            chain = x509.read_chain(x509.read_file(Path(watched.file)), watched.file)
        else:
            chain = served.chain(Endpoint(watched.host, watched.port), name)
    except x509.CertificateError as error:
        return Looked([
            Finding(
                id="certificate.expiry", subject=watched.subject, status=Status.UNKNOWN,
                summary=f"{watched.subject} could not be judged: {error}.",
                fix="mend it, or take it out of certificate_renewal_watch",
            )
        ])  # fmt: skip
    subject = judge.Subject(
        watched.subject, chain, (name,) if name else (), Path(watched.key) if watched.key else None
    )
    found = judge.judge(subject, now=now, limits=limits, roots=roots)
    return Looked(found, chain[0].not_after)


def looks(settings: Settings, *, now: datetime, roots: judge.Roots | None) -> list[Looked]:
    """Return what all that is watched is like, in the order of the request."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(
            pool.map(
                lambda watched: look(watched, now=now, limits=settings.limits, roots=roots), settings.watch
            )
        )


def days_to_expiry(ends: Iterable[datetime | None], now: datetime) -> dict[str, float]:
    """Return the metric of the first to expire, in days; none where no certificate could be read."""
    known = [end for end in ends if end is not None]
    return {"days_to_expiry": round((min(known) - now) / timedelta(days=1), 2)} if known else {}


def check(settings: Settings, *, now: datetime) -> Result:
    """Judge all that is watched; the whole work of the module certificate_check."""
    seen = looks(settings, now=now, roots=judge.trusted_roots(settings.trusted_roots))
    found = [finding for each in seen for finding in each.findings]
    wrong = sum(finding.status is not Status.OK for finding in found)
    return Result(
        findings=found,
        metrics={
            "watched": len(settings.watch),
            **days_to_expiry((each.not_after for each in seen), now),
        },
        msg=f"{len(settings.watch)} certificates looked at, {wrong} findings that are not ok"
        f" (worst: {worst(found)}).",
    )
