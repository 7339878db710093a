"""Every finding about a vault's backups that can be had without reading them.

What `courtkeeper check backups` shows: is there a young backup of everything in every place, is it about as
large as ever, was one of them ever proven, what is broken or forged, what stands in the way of retention,
and are the places themselves safe. Cheap: a listing, the manifests, and a few questions to each place.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from courtkeeper.database import connect
from courtkeeper.findings import CourtkeeperError, Finding, Result, Status, by_severity, worst
from courtkeeper.vault import audit, catalog, freshness, places, problems, prune, retention_findings, trend
from courtkeeper.vault.catalog import Catalog
from courtkeeper.vault.destinations import Destination, DestinationError, destination
from courtkeeper.vault.policy import VaultPolicy
from courtkeeper.vault.restore import replica
from courtkeeper.vault.settings import (
    DirectorySettings,
    FilesSource,
    PostgresSource,
    SourceSettings,
    VaultSettings,
)

Progress = Callable[[int, int, str], None]
_HERE = ("", "localhost", "127.0.0.1", "::1")
_TIMEOUT_S = 5.0


def check(
    settings: VaultSettings,
    policy: VaultPolicy,
    *,
    now: datetime,
    progress: Progress = lambda _done, _total, _text: None,
) -> Result:
    """Look at a vault and change nothing. A destination that fails is a finding, and hides no other."""
    begun = time.monotonic()
    destinations = [destination(entry) for entry in settings.destinations]
    progress(0, 2, "listing backups")
    seen = catalog.of(settings, destinations)
    findings = list(of_backups(settings, policy, seen, now))
    progress(1, 2, "looking at the places of backups")
    findings += of_places(settings, policy, seen, destinations)
    return Result(
        findings=by_severity(findings),
        metrics={
            "duration_s": round(time.monotonic() - begun, 3),
            "backups": len(seen.backups),
            "backups_bytes": sum(copy.size for backup in seen.backups for copy in backup.copies),
            "destinations_failed": len(destinations) - len(seen.reached),
        },
        msg=f"{len(seen.backups)} backups in {len(seen.reached)} of {len(destinations)} destinations "
        f"of {settings.name}: {_WORDS[worst(findings)]}.",
    )


_WORDS = {
    Status.OK: "all well",
    Status.SKIPPED: "not all could be looked at",
    Status.UNKNOWN: "not all could be judged",
    Status.WARN: "something should be looked at",
    Status.CRIT: "something is wrong",
}


def of_backups(
    settings: VaultSettings, policy: VaultPolicy, seen: Catalog, now: datetime
) -> Iterator[Finding]:
    """Judge the backups themselves."""
    declared = [source.name for source in settings.sources]
    yield from problems.findings(seen, leftovers_hours=policy.leftovers_hours, now=now)
    yield from replica.findings(settings)
    yield from freshness.findings(settings.name, declared, seen, policy.verify, now)
    for source in declared:
        past = [backup for backup in seen.of(source) if backup.taken_at <= now]
        yield from trend.findings(settings.name, source, past, policy.verify)
    for place in prune.plans(seen, policy, now=now):
        subject = places.subject(settings.name, place.source, place.destination)
        yield from retention_findings.findings(place.plan, subject)


def of_places(
    settings: VaultSettings, policy: VaultPolicy, seen: Catalog, destinations: Sequence[Destination]
) -> Iterator[Finding]:
    """Judge where the backups lie."""
    yield from audit.copies(settings.destinations, settings.name)
    newest = {backup.source: backup for backup in reversed(seen.backups)}
    expected = sum(backup.sealed_size for backup in newest.values())
    local = {source.name: _paths(source) for source in settings.sources}
    for entry, place in zip(settings.destinations, destinations, strict=True):
        if isinstance(entry, DirectorySettings):
            yield from audit.directory(
                entry, {name: paths for name, paths in local.items() if paths}, newest_bytes=expected
            )
        elif place.name in seen.reached:
            yield from _bucket(place, policy)


def _bucket(place: Destination, policy: VaultPolicy) -> list[Finding]:
    from courtkeeper.vault.audit_bucket import Bucket, audit
    from courtkeeper.vault.destinations.s3 import S3Destination  # boto3 is an extra

    if not isinstance(place, S3Destination):
        return []
    told = place.settings
    bucket = Bucket(place.client, told.bucket, told.prefix, name=told.name, longest_days=policy.longest_days)
    return audit(bucket)


def _paths(source: SourceSettings) -> list[str]:
    """Return the paths of this machine that a source reads, as far as they can be known from here."""
    if isinstance(source, FilesSource):
        return list(source.paths)
    if isinstance(source, PostgresSource) and (source.host in _HERE or source.host.startswith("/")):
        with contextlib.suppress(CourtkeeperError, DestinationError):
            return [_data_directory(source)]
    return []


def _data_directory(source: PostgresSource) -> str:
    import psycopg

    try:
        with connect(
            source.at(source.database),
            purpose="backups",
            lock_timeout_s=_TIMEOUT_S,
            statement_timeout_s=_TIMEOUT_S,
        ) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
    except psycopg.Error as error:  # a role that may not see it
        raise CourtkeeperError(str(error)) from error
    return str(row[0]) if row else ""
