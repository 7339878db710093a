"""What a run of backups says, each sentence in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from courtkeeper.findings import CourtkeeperError, Finding, Status
from courtkeeper.vault.destinations.base import Destination, DestinationError
from courtkeeper.vault.manifest import Manifest

SOURCE_FAILED = "vault.source.failed"
_MOST_NAMED = 5


def sized(size: float) -> str:
    """`1.4 GB`: bytes as a person reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def lasted(seconds: float) -> str:
    """`4.2 s`, `12 min`, `3.1 h`: a time as a person reads it."""
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return (
                f"{seconds / divisor:.1f} {unit}"
                if seconds / divisor < 100
                else f"{seconds / divisor:.0f} {unit}"
            )
    return f"{seconds / 86400:.1f} days"


def done(manifest: Manifest, where: Sequence[str]) -> Finding:
    """Say what was stored where."""
    return Finding(
        id="vault.backup.done",
        subject=manifest.source,
        status=Status.OK,
        observed=manifest.sealed_size,
        unit="bytes",
        summary=f"{manifest.source} is backed up as {manifest.id}: {sized(manifest.plain_size)}, "
        f"{sized(manifest.sealed_size)} sealed, on {', '.join(where)}.",
        applied=f"stored {manifest.prefix}",
    )


def source_failed(source: str, error: CourtkeeperError) -> Finding:
    """Say that there is no new backup of a source."""
    return Finding(
        id=SOURCE_FAILED,
        subject=source,
        status=Status.CRIT,
        summary=f"{source} could not be backed up: {error}",
        fix="mend what the sentence names and run the backup again; the backups before are untouched",
    )


def destination_failed(entry: Destination, source: str, error: DestinationError, consequence: str) -> Finding:
    """Say that a destination does not have what the others may have."""
    return Finding(
        id="vault.destination.failed",
        subject=f"{entry.name}/{source}",
        status=Status.CRIT,
        observed=error.why,
        summary=f"{error}: {consequence}.",
        fix="mend the destination; the next backup goes there again, and copies there what it missed",
    )


def destination_late(entry: Destination, source: str, first: DestinationError) -> Finding:
    """Say that a destination failed at first and has its copy now."""
    return Finding(
        id="vault.destination.late",
        subject=f"{entry.name}/{source}",
        status=Status.WARN,
        observed=first.why,
        summary=f"{first}; it got its copy of {source} afterwards, from another.",
        applied="copied from a good destination",
        fix="see why it failed at first",
    )


def clock_jumped(source: str, seconds: float) -> Finding:
    """Say that the wall clock was set while a backup ran."""
    return Finding(
        id="vault.clock.jumped",
        subject=source,
        status=Status.WARN,
        observed=round(seconds, 1),
        unit="s",
        summary=f"The clock jumped by {seconds:+.0f} s during the backup of {source}: its time may be wrong.",
        fix="see that the host keeps its time (chrony, systemd-timesyncd)",
    )


def of_parts(manifest: Manifest) -> Iterator[Finding]:
    """Say what changed while it was read, and which tables could not be counted."""
    for part in manifest.parts:
        if part.changed:
            yield Finding(
                id="vault.source.changed",
                subject=f"{manifest.source}/{part.name}",
                status=Status.WARN,
                observed=len(part.changed),
                unit="files",
                summary=f"{len(part.changed)} files of {manifest.source} changed while they were read: "
                f"{_named(part.changed)}.",
                fix="back them up when nobody writes to them, or leave them out",
            )
        unknown = [table for table in part.tables if table.unknown]
        if unknown:
            yield Finding(
                id="vault.tables.unknown",
                subject=f"{manifest.source}/{part.database}",
                status=Status.WARN,
                observed=len(unknown),
                unit="tables",
                summary=f"{len(unknown)} tables of {part.database} have no checksum: "
                f"{_named([table.qualified for table in unknown])} ({unknown[0].unknown}).",
                fix="let the role that backs up read them, or compare them by hand after a restore",
            )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
