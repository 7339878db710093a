"""Remove old files from declared directories, such as /tmp, where anybody may lay traps.

Directories are opened one by one below their root without following a link, and files are removed by name
within the directory that is open: whatever is swapped meanwhile, nothing outside is touched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.hosts.logs import journal, opened, paths

DAY_S = 86400
NAMED = 10
DEEPEST = 64
# Directories in /tmp that belong to systemd, X11 and the file system.
LEFT = (
    "systemd-private-*",
    "snap-private-tmp",
    ".X11-unix",
    ".ICE-unix",
    ".XIM-unix",
    ".font-unix",
    "lost+found",
)


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One directory to clean: files of these names that nobody touched for `max_age_days`."""

    path: str
    max_age_days: int
    patterns: list[str] = msgspec.field(default_factory=lambda: ["*"])


class Removed(msgspec.Struct, frozen=True):
    """One file that was removed, or would be."""

    path: str
    size: int


def read(entries: Sequence[dict[str, Any]], roots: Sequence[str]) -> list[Entry]:
    """Return what is to be cleaned; refuse as a whole what is wrong. Raises ConfigurationError."""
    paths.refuse_odd_roots(roots, "log_rotation_clean_roots")
    found = []
    for number, given in enumerate(entries):
        where = f"log_rotation_clean[{number}]"
        try:
            entry = msgspec.convert({k: v for k, v in given.items() if v is not None}, Entry)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{where} cannot be read: {error}.") from None
        paths.refuse_outside(entry.path, entry.path, roots, where, "log_rotation_clean_roots")
        if paths.WILDCARDS.search(entry.path):
            raise ConfigurationError(f"{where} holds {entry.path}: name one directory, without wildcards.")
        if not 1 <= entry.max_age_days <= 36500:
            raise ConfigurationError(
                f"{where}: max_age_days is {entry.max_age_days}; it has to be from 1 to 36500."
            )
        for pattern in entry.patterns:
            if not pattern or "/" in pattern or not pattern.isprintable():
                raise ConfigurationError(f"{where}: {pattern!r} is no pattern for the name of a file.")
        if not entry.patterns:
            raise ConfigurationError(f"{where}: patterns is empty; leave it out to mean every file.")
        found.append(entry)
    return found


def clean(
    entries: Sequence[dict[str, Any]],
    roots: Sequence[str],
    *,
    journal_days: int,
    journal_mib: int,
    now: datetime,
    check: bool,
) -> Result:
    """Remove what is old in the declared directories and, where told, in the journal."""
    wanted = read(entries, roots)
    result = Result(metrics={"cleaned_files": 0, "cleaned_bytes": 0, "journal_removed_bytes": 0})
    journal.vacuum(journal_days, journal_mib, now, result, check=check)
    scan = opened.scan() if wanted else opened.Scan([], [])
    if scan.hidden:
        result.findings.append(_unknown(len(scan.hidden)))
        wanted = []
    held = {(each.device, each.inode) for each in scan.files}
    for entry in wanted:
        root = max((root for root in roots if paths.below(entry.path, root)), key=len)
        try:
            gone = list(sweep(entry, root, held, now, check=check))
        except OSError as error:
            problem = CourtkeeperError(f"{entry.path} could not be cleaned: {error.strerror}.")
            problem.partial = result
            raise problem from None
        if gone:
            result.changed = True
            result.actions.append(_sentence(entry, gone))
            result.metrics["cleaned_files"] += len(gone)
            result.metrics["cleaned_bytes"] += sum(each.size for each in gone)
    count = result.metrics["cleaned_files"]
    result.msg = f"{count} old files to remove." if result.changed else "Nothing is old enough to be removed."
    return result


def _unknown(count: int) -> Finding:
    """Say why nothing was cleaned."""
    return Finding(
        id="logs.clean",
        subject="processes",
        status=Status.UNKNOWN,
        observed=count,
        unit="processes",
        summary=f"Nothing was cleaned, because {count} processes hide which files they use.",
        fix="run as root of the host, not of a container that may not trace processes",
    )


def _sentence(entry: Entry, gone: Sequence[Removed]) -> str:
    """Name what went: how many, how large, and the first names."""
    names = ", ".join(each.path.removeprefix(f"{entry.path}/") for each in gone[:NAMED])
    more = f" and {len(gone) - NAMED} more" if len(gone) > NAMED else ""
    total = sum(each.size for each in gone)
    age = f"untouched for {entry.max_age_days} days"
    return f"remove {len(gone)} files ({total} bytes, {age}) from {entry.path}: {names}{more}"


def sweep(
    entry: Entry, root: str, held: set[tuple[int, int]], now: datetime, *, check: bool
) -> Iterator[Removed]:
    """Remove what is due below one directory, and yield it. A directory that is missing holds nothing.

    `held` are the files (device, inode) that processes have open. Raises OSError.
    """
    try:
        top = _open_below(root, entry.path)
    except FileNotFoundError:
        return
    before = now.timestamp() - entry.max_age_days * DAY_S
    try:
        yield from _directory(top, entry.path, entry, held, before, os.fstat(top).st_dev, 0, check)
    finally:
        os.close(top)


def _open_below(root: str, path: str) -> int:
    """Open `path` part by part from `root`, so that no part of it can be a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.open(root, flags)
    for part in filter(None, path.removeprefix(root).split("/")):
        try:
            deeper = os.open(part, flags, dir_fd=at)
        finally:
            os.close(at)
        at = deeper
    return at


def _directory(
    at: int,
    name: str,
    entry: Entry,
    held: set[tuple[int, int]],
    before: float,
    device: int,
    depth: int,
    check: bool,
) -> Iterator[Removed]:
    """Clean one open directory and what lies in it on the same file system."""
    for child in sorted(os.listdir(at), key=os.fsencode):
        try:
            status = os.stat(child, dir_fd=at, follow_symlinks=False)
            if status.st_dev != device:
                continue
            if stat.S_ISDIR(status.st_mode):
                if depth < DEEPEST and not any(fnmatchcase(child, left) for left in LEFT):
                    deeper = os.open(
                        child, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at
                    )
                    try:
                        yield from _directory(
                            deeper, f"{name}/{child}", entry, held, before, device, depth + 1, check
                        )
                    finally:
                        os.close(deeper)
            elif _due(status, child, entry, held, before):
                if not check:
                    os.unlink(child, dir_fd=at)
                yield Removed(paths.shown(f"{name}/{child}"), status.st_size)
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone or swapped meanwhile


def _due(status: os.stat_result, name: str, entry: Entry, held: set[tuple[int, int]], before: float) -> bool:
    """Tell whether a file is plain, of the right name, in nobody's hands, and old by all of its times."""
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_nlink == 1
        and any(fnmatchcase(name, pattern) for pattern in entry.patterns)
        and (status.st_dev, status.st_ino) not in held
        and max(status.st_mtime, status.st_ctime, status.st_atime) < before
    )
