"""One restore, whatever it is of."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pyrage import x25519

from courtkeeper.findings import CourtkeeperError, Result, Status
from courtkeeper.vault import catalog, problems
from courtkeeper.vault.catalog import Catalog
from courtkeeper.vault.destinations import Destination, destination
from courtkeeper.vault.lock import alone
from courtkeeper.vault.restore import copies, files, postgres, redis, replica, table
from courtkeeper.vault.restore.request import Request, fitting
from courtkeeper.vault.restore.work import Work
from courtkeeper.vault.settings import FilesSource, PostgresSource, SourceSettings, VaultSettings


def restore(
    settings: VaultSettings,
    request: Request,
    *,
    check_mode: bool = False,
    opening: Sequence[x25519.Identity] = (),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Callable[[int, int, str], None] = lambda _done, _total, _text: None,
    trace: Callable[[str], None] = lambda _step: None,
) -> Result:
    """Restore what is asked for: to the side, checked there, and swapped in.

    `check_mode`: say what would happen, how long it should take and what would be lost. `opening`: the
    identities, where they are not in the settings' `identity_file`. `trace` is told each step; tests end the
    process there.

    Raises ConfigurationError where it is refused, BusyError where another restore is at work, and
    CourtkeeperError where it fails: then what is in use is as it was; but a cache that had begun to copy may
    hold the backup, and `partial` names the file of what it held before.
    """
    source = settings.source(request.source)
    fitting(request, source)
    identities = list(opening) or copies.identities(settings)
    with alone(settings, "restore"):
        places = {entry.name: destination(entry) for entry in settings.destinations}
        seen = _seen(settings, request, places)
        backup = copies.chosen(
            seen,
            request.source,
            backup_id=request.backup,
            until=request.moment,
            destination=request.destination,
        )
        work = Work(
            settings=settings,
            request=request,
            backup=backup,
            places=places,
            identities=identities,
            now=now,
            progress=progress,
            trace=trace,
        )
        work.result.findings += [
            finding
            for finding in problems.findings(seen, leftovers_hours=48, now=now())
            if finding.status is Status.CRIT
        ]
        begun = time.monotonic()
        if not check_mode:
            actions, found = replica.release_held(settings)
            work.result.findings += found
            for action in actions:
                work.did(action)
        try:
            _dispatch(work, source, check_mode=check_mode)
        except CourtkeeperError as error:
            error.partial = error.partial or (work.result if work.result.changed else None)
            raise
    work.result.metrics["duration_s"] = round(time.monotonic() - begun, 3)
    work.result.details["backup"] = {"id": backup.id, "taken_at": backup.taken_at.isoformat()}
    if not check_mode:
        took = work.result.metrics["duration_s"]
        work.result.msg = f"restored {request.source} from {backup.id} ({work.age} old) in {took:.1f} s"
    return work.result


def _seen(settings: VaultSettings, request: Request, places: dict[str, Destination]) -> Catalog:
    """List the backups; those of one destination alone where it is named and others contradict it."""
    seen = catalog.of(settings, list(places.values()), source=request.source)
    there = [each.id for each in seen.backups if request.destination in each.where]
    if request.destination not in places or (request.backup in there if request.backup else there):
        return seen
    return catalog.of(settings, [places[request.destination]], source=request.source)


def _dispatch(work: Work, source: SourceSettings, *, check_mode: bool) -> None:
    if isinstance(source, PostgresSource) and work.request.table:
        (table.plan if check_mode else table.restore)(work, source)
    elif isinstance(source, PostgresSource):
        (postgres.plan if check_mode else postgres.restore)(work, source)
    elif isinstance(source, FilesSource):
        (files.plan if check_mode else files.restore)(work)
    else:
        (redis.plan if check_mode else redis.restore)(work, source)
