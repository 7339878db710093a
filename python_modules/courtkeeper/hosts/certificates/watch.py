"""Look at certificates that others manage, in files and at endpoints. Changes nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from courtkeeper.findings import Finding, Result, Status, worst
from courtkeeper.hosts.certificates import judge, served, x509
from courtkeeper.hosts.certificates.settings import Endpoint, Limits, Settings, Watched

AT_ONCE = 8  # an endpoint that does not answer takes seconds


def look(watched: Watched, *, now: datetime, limits: Limits, roots: judge.Roots | None) -> list[Finding]:
    """Return the findings on one watched certificate."""
    name = watched.name or ("" if watched.file else watched.host)
    try:
        if watched.file:
            chain = x509.read_chain(x509.read_file(Path(watched.file)), watched.file)
        else:
            chain = served.chain(Endpoint(watched.host, watched.port), name)
    except x509.CertificateError as error:
        return [
            Finding(
                id="certificate.expiry", subject=watched.subject, status=Status.UNKNOWN,
                summary=f"{watched.subject} could not be judged: {error}.",
                fix="mend it, or take it out of certificate_renewal_watch",
            )
        ]  # fmt: skip
    subject = judge.Subject(
        watched.subject, chain, (name,) if name else (), Path(watched.key) if watched.key else None
    )
    return judge.judge(subject, now=now, limits=limits, roots=roots)


def findings(settings: Settings, *, now: datetime, roots: judge.Roots | None) -> list[Finding]:
    """Return the findings on all that is watched, in the order of the request."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        looks = pool.map(
            lambda watched: look(watched, now=now, limits=settings.limits, roots=roots), settings.watch
        )
        return [finding for found in looks for finding in found]


def check(settings: Settings, *, now: datetime) -> Result:
    """Judge all that is watched; the whole work of the module certificate_check."""
    found = findings(settings, now=now, roots=judge.trusted_roots(settings.trusted_roots))
    wrong = sum(finding.status is not Status.OK for finding in found)
    return Result(
        findings=found,
        metrics={"watched": len(settings.watch)},
        msg=f"{len(settings.watch)} certificates looked at, {wrong} findings that are not ok"
        f" (worst: {worst(found)}).",
    )
