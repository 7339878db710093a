"""Judge a chain: how much of its lifetime is left, and whether clients can and should trust it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.hosts.certificates import x509
from courtkeeper.hosts.certificates.due import scaled, stamp
from courtkeeper.hosts.certificates.settings import Limits

SYSTEM_ROOTS = Path("/etc/ssl/certs/ca-certificates.crt")
# CA/Browser Forum Baseline Requirements 6.1.5 and 7.1.3.2; NIST SP 800-131A.
LEAST_BITS = {"RSA": 2048, "EC": 256, "Ed25519": 256, "Ed448": 256}
WEAK_HASHES = {"md5", "sha1"}
# Trusted roots as PEM by their subject: of hundreds, a chain leads to one.
Roots = Mapping[str, list[bytes]]


class Subject(msgspec.Struct, frozen=True):
    """What is judged: its name in findings, its chain, and what is known beside it.

    `names` are the host names it must be for; `key` the file of its key, or None where there is none to see.
    """

    name: str
    chain: tuple[x509.Facts, ...]
    names: tuple[str, ...] = ()
    key: Path | None = None
    fix: str = "renew it and put the new one in its place"


def judge(subject: Subject, *, now: datetime, limits: Limits, roots: Roots | None) -> list[Finding]:
    """Return the findings on one chain: always its expiry, and whatever else is wrong with it.

    `roots` are the trusted ones; None leaves out whether the chain leads to one of them.
    """
    return [
        expiry(subject, now, limits),
        *names(subject),
        *structure(subject, now, roots),
        *strength(subject),
        *private_key(subject),
    ]


def expiry(subject: Subject, now: datetime, limits: Limits) -> Finding:
    """Judge the fraction of the leaf's lifetime that is left."""
    leaf = subject.chain[0]
    _, warn, crit = scaled(limits, leaf.lifetime_s)
    left = leaf.left(now)
    status, threshold = Status.OK, warn
    summary = f"{subject.name} is valid until {stamp(leaf.not_after)}: {left:.0%} of its lifetime is left."
    if now < leaf.not_before:
        status = Status.CRIT
        summary = f"{subject.name} is not valid before {stamp(leaf.not_before)}: is the clock right?"
    elif left <= 0:
        status, threshold = Status.CRIT, crit
        summary = f"{subject.name} expired at {stamp(leaf.not_after)}."
    elif left < crit:
        status, threshold = Status.CRIT, crit
    elif left < warn:
        status = Status.WARN
    return Finding(
        id="certificate.expiry", subject=subject.name, status=status, summary=summary,
        observed=round(left, 4), threshold=round(threshold, 4), unit="fraction of the lifetime left",
        fix="" if status is Status.OK else subject.fix,
    )  # fmt: skip


def names(subject: Subject) -> list[Finding]:
    """Find host names that the leaf is not for."""
    leaf = subject.chain[0]
    missing = [
        name
        for name in subject.names
        # A wanted wildcard is asked for as such; a host name may be covered by one.
        if name.lower() not in leaf.names and not (name[:2] != "*." and x509.matches(leaf.names, name))
    ]
    if not missing:
        return []
    return [
        Finding(
            id="certificate.name", subject=subject.name, status=Status.CRIT,
            observed=", ".join(leaf.names)[:300] or "no name", threshold=", ".join(missing)[:300],
            summary=f"{subject.name} is not for {', '.join(missing)[:300]}: clients refuse it.",
            fix=subject.fix,
        )
    ]  # fmt: skip


def structure(subject: Subject, now: datetime, roots: Roots | None) -> list[Finding]:
    """Find a chain that is out of order, incomplete, or whose intermediates have expired."""
    chain = subject.chain
    problem = ""
    for child, parent in pairwise(chain):
        if not x509.issued_by(child, parent):
            problem = f"is in the wrong order: {parent.subject[:120]} did not sign what stands before it"
            break
        if parent.not_after < now:
            problem = f"holds an intermediate that expired {stamp(parent.not_after)}: {parent.subject[:120]}"
            break
    else:
        last = chain[-1]
        if roots is not None and not rooted(last, roots):
            problem = (
                f"leads to no trusted root: an intermediate is missing, or {last.issuer[:120]} is not trusted"
            )
            if last.self_issued:
                problem = f"leads to no trusted root: {last.subject[:120]} signed itself"
    if not problem:
        return []
    return [
        Finding(
            id="certificate.chain", subject=subject.name, status=Status.WARN, observed=len(chain),
            unit="certificates", summary=f"The chain of {subject.name} {problem}.",
            fix="put leaf, then intermediates into the file, and name private roots in "
            "certificate_renewal_trusted_roots",
        )
    ]  # fmt: skip


def rooted(last: x509.Facts, roots: Roots) -> bool:
    """Tell whether `last` is one of the trusted roots or signed by one."""
    for block in [*roots.get(last.issuer, []), *roots.get(last.subject, [])]:
        root = x509.facts(block, "the trusted roots")
        if root.fingerprint == last.fingerprint or x509.issued_by(last, root):
            return True
    return False


def strength(subject: Subject) -> list[Finding]:
    """Find keys that are too short and signatures that can be forged."""
    weak = []
    for certificate in subject.chain:
        if certificate.bits < LEAST_BITS.get(certificate.key, certificate.bits + 1):
            weak.append(f"{certificate.key} key of {certificate.bits} bits")
        # A root is trusted by being there, not by its signature.
        if certificate.signature_hash in WEAK_HASHES and not certificate.self_issued:
            weak.append(f"{certificate.signature_hash} signature")
    if not weak:
        return []
    return [
        Finding(
            id="certificate.strength", subject=subject.name, status=Status.WARN, observed=", ".join(weak),
            threshold="RSA 2048, EC 256, SHA-256", summary=f"{subject.name} is weak: {', '.join(weak)}.",
            fix="issue it anew with a stronger key",
        )
    ]  # fmt: skip


def private_key(subject: Subject) -> list[Finding]:
    """Find a key that cannot be read, does not fit, or that every user can read."""
    path = subject.key
    if path is None:
        return []
    found = []
    try:
        fits = x509.read_key(x509.read_file(path), str(path)) == subject.chain[0].public_key
        problem = "" if fits else f"{path} is not the key of {subject.name}"
        mode = path.stat().st_mode & 0o777
    except (x509.CertificateError, OSError) as error:
        problem, mode = str(error), 0
    if problem:
        found.append(
            Finding(
                id="certificate.key", subject=subject.name, status=Status.CRIT, observed=str(path),
                summary=f"{problem}.", fix="put the key that belongs to the certificate in its place",
            )
        )  # fmt: skip
    if mode & 0o007:
        found.append(
            Finding(
                id="certificate.permissions", subject=subject.name, status=Status.CRIT,
                observed=f"{mode:04o}",
                threshold="0640", summary=f"Every user can get at the private key {path}.",
                fix=f"chmod 0600 {path}, then replace the key: it may have been read",
            )
        )  # fmt: skip
    return found


def by_subject(data: bytes) -> dict[str, list[bytes]]:
    """Return the certificates of a PEM text by subject; one odd root among hundreds is nothing of ours."""
    found: dict[str, list[bytes]] = {}
    for block in x509.blocks(data):
        try:
            with warnings.catch_warnings():  # some roots have a serial number of zero
                warnings.simplefilter("ignore")
                found.setdefault(x509.subject(block), []).append(block)
        except x509.CertificateError:
            continue
    return found


def trusted_roots(extra: str) -> Roots | None:
    """Return the host's trusted roots and those in the file `extra`; None where there are none at all."""
    system = x509.read_file(SYSTEM_ROOTS) if SYSTEM_ROOTS.exists() else b""
    return by_subject(system + b"\n" + (x509.read_file(Path(extra)) if extra else b"")) or None
