"""Whether the places of backups can be trusted: how many there are, a directory's disk and permissions."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from courtkeeper.findings import Finding, Status
from courtkeeper.vault.findings import sized
from courtkeeper.vault.settings import DestinationSettings, DirectorySettings

_ROOM = 1.5  # times the newest backup: the next one is larger, and is written beside it
_LOOKED_AT = 2000


def copies(destinations: Sequence[DestinationSettings], vault: str) -> Iterator[Finding]:
    """Judge whether one fire takes every copy."""
    away = [each.name for each in destinations if not isinstance(each, DirectorySettings) or each.mounted]
    if len(destinations) < 2:
        yield Finding(
            id="vault.copies",
            subject=vault,
            status=Status.WARN,
            observed=len(destinations),
            threshold=2,
            unit="destinations",
            summary="There is one destination: what takes it takes every backup.",
            fix="add a destination in another place",
        )
    elif not away:
        yield Finding(
            id="vault.copies",
            subject=vault,
            status=Status.WARN,
            observed=0,
            threshold=1,
            unit="destinations",
            summary="Every destination is a directory of this machine: what takes it takes every backup.",
            fix="add a destination elsewhere, or say mounted: true of one that is",
        )
    else:
        yield Finding(
            id="vault.copies",
            subject=vault,
            status=Status.OK,
            observed=len(destinations),
            unit="destinations",
            summary=f"Backups go to {len(destinations)} places, of which {', '.join(away)} stands elsewhere.",
        )


def directory(
    settings: DirectorySettings, sources: Mapping[str, Iterable[str]], *, newest_bytes: int = 0
) -> list[Finding]:
    """Judge a directory: its disk is not its sources', others cannot read it, the next backup fits.

    `sources` are the local paths of each source, as far as they are known; `newest_bytes` is the size of the
    newest backups of all sources together.
    """
    root = Path(settings.path)
    subject = f"{settings.name}: {settings.path}"
    try:
        facts = root.stat()
    except OSError as error:
        return [
            Finding(
                id="vault.directory.there",
                subject=subject,
                status=Status.CRIT,
                summary=f"The directory cannot be looked at: {error.strerror}.",
                fix="mount it, or mend its path or permissions",
            )
        ]
    return [
        *_disk(subject, facts.st_dev, sources),
        *_permissions(subject, root, facts),
        *_room(subject, root, newest_bytes),
    ]


def _disk(subject: str, device: int, sources: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    shared = sorted({name for name, paths in sources.items() if device in _devices(paths)})
    if shared:
        yield Finding(
            id="vault.directory.disk",
            subject=subject,
            status=Status.WARN,
            observed=", ".join(shared),
            summary=f"It lies on the same file system as {', '.join(shared)}: a broken disk takes both.",
            fix="put it on another disk, or see that another destination is elsewhere",
        )
    elif sources:
        yield Finding(
            id="vault.directory.disk",
            subject=subject,
            status=Status.OK,
            summary="It lies on another file system than what it holds.",
        )


def _devices(paths: Iterable[str]) -> set[int]:
    found = set()
    for path in paths:
        try:
            found.add(Path(path).stat().st_dev)
        except OSError:
            continue  # a source that is not of this machine, or is gone: its backup says so
    return found


def _permissions(subject: str, root: Path, facts: os.stat_result) -> Iterator[Finding]:
    writable = [str(root)] if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH) else []
    readable = [str(root)] if facts.st_mode & (stat.S_IRGRP | stat.S_IROTH) else []
    # The root alone decides who gets in; where it lets others in, what lies below does.
    if facts.st_mode & (stat.S_IXGRP | stat.S_IXOTH):
        for number, path in enumerate(root.rglob("*")):
            if number >= _LOOKED_AT:
                break
            mode = _mode(path)
            writable += [str(path)] if mode & (stat.S_IWGRP | stat.S_IWOTH) else []
            readable += [str(path)] if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH) else []
    if writable:
        yield _open(subject, Status.CRIT, writable, "change or remove", "go-w")
    elif readable:
        yield _open(subject, Status.WARN, readable, "read", "go-rwx")
    else:
        yield Finding(
            id="vault.directory.permissions",
            subject=subject,
            status=Status.OK,
            observed=stat.filemode(facts.st_mode),
            summary="Only its owner gets in.",
        )


def _mode(path: Path) -> int:
    try:
        facts = path.lstat()
    except OSError:
        return 0
    return 0 if stat.S_ISLNK(facts.st_mode) else facts.st_mode


def _open(subject: str, status: Status, paths: Sequence[str], what: str, change: str) -> Finding:
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return Finding(
        id="vault.directory.permissions",
        subject=subject,
        status=status,
        observed=len(paths),
        unit="paths",
        summary=f"Others than its owner may {what} {paths[0]}{more}.",
        fix=f"chmod -R {change} {subject.partition(': ')[2]}",
    )


def _room(subject: str, root: Path, newest_bytes: int) -> Iterator[Finding]:
    facts = os.statvfs(root)
    free = facts.f_bavail * facts.f_frsize
    wanted = int(newest_bytes * _ROOM)
    fits = free >= wanted
    yield Finding(
        id="vault.directory.room",
        subject=subject,
        status=Status.OK if fits else Status.CRIT,
        observed=free,
        threshold=wanted,
        unit="bytes",
        summary=f"{sized(free)} are free; the next backups take about {sized(wanted)}.",
        fix="" if fits else "make room, or let retention keep less",
    )
