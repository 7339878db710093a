"""What becomes of rotated files: readable for some days, then compressed, then archived or removed.

Every step survives a kill: a copy is written beside its place under a name of its own, compared by its
sha256, renamed, and only then is the original removed. Who finds both compares them and removes the original.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Status
from courtkeeper.hosts.logs import copies, opened, paths
from courtkeeper.hosts.logs.stanzas import Stanza

DAY_S = 86400
STAMP = re.compile(r"-(\d{8})-?(\d{6})?(?:\.|\Z)")
# What has to stay free beside the largest file that is compressed: the logs go on meanwhile.
RESERVE_BYTES = 16 * 2**20


class Rotated(msgspec.Struct, frozen=True):
    """One rotated file: its stanza, and how old it is, by its name or its last line, whichever is later."""

    path: str
    stanza: str
    size: int
    age_days: float
    device: int
    inode: int
    links: int


class Step(msgspec.Struct, frozen=True):
    """One thing to do with one rotated file; `target` is where it goes, '' where it is removed."""

    kind: Literal["remove", "archive", "compress"]
    file: Rotated
    target: str = ""

    def sentence(self) -> str:
        """Say what is done, for `actions`."""
        size = f"{self.file.size} bytes, {self.file.age_days:.0f} days old"
        goal = f" to {self.target}" if self.kind == "archive" else ""
        return paths.shown(f"{self.kind} {self.file.path}{goal} ({size})")


class Plan(msgspec.Struct, frozen=True):
    """What is due now, and the findings about what cannot be done."""

    steps: list[Step]
    findings: list[Finding]


def rotated(stanza: Stanza, now: datetime) -> Iterator[Rotated]:
    """Find the rotated files of `stanza`, of our naming and of Debian's, also those whose log is gone."""
    for directory in sorted({pattern.rpartition("/")[0] for pattern in stanza.paths}):
        for folder in sorted(glob.glob(directory)):  # noqa: PTH207 - the whole path is the pattern
            for name in sorted(_names(folder)):
                path = f"{folder}/{name}"
                log = paths.original(path)
                if log and any(paths.matches(log, pattern) for pattern in stanza.paths):
                    found = _look(path, stanza.name, now)
                    if found:
                        yield found


def _names(folder: str) -> list[str]:
    """List a directory that may be gone."""
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []


def _look(path: str, stanza: str, now: datetime) -> Rotated | None:
    """Describe one rotated file; None if it is gone or no regular file (a link is never followed)."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    latest = max(status.st_mtime, min(stamp(path), now.timestamp()))
    return Rotated(
        path, stanza, status.st_size, (now.timestamp() - latest) / DAY_S,
        status.st_dev, status.st_ino, status.st_nlink,
    )  # fmt: skip


def stamp(path: str) -> float:
    """Return the time in the name of a rotated file in seconds since 1970 (local time), or 0."""
    found = STAMP.search(path.rpartition("/")[2])
    if not found:
        return 0.0
    try:
        return datetime.strptime(found[1] + (found[2] or "000000"), "%Y%m%d%H%M%S").timestamp()  # noqa: DTZ007
    except (ValueError, OverflowError, OSError):
        return 0.0


def plan(stanzas: Sequence[Stanza], archive: str, now: datetime) -> Plan:
    """Decide what is due. Files that a process still writes, and linked ones, are left and named.

    `archive` is the directory that takes what is past its days; '' where it is removed. Raises
    ConfigurationError where the disk has no room for the work.
    """
    due: list[Step] = []
    for stanza in stanzas:
        for file in rotated(stanza, now):
            if file.age_days > stanza.keep_days:
                due.append(_last_step(file, archive))
            elif file.age_days > stanza.compress_after_days and not paths.COMPRESSED.search(file.path):
                due.append(Step("compress", file, f"{file.path}.gz"))
    if not due:
        return Plan([], [])
    steps, findings = _without_held(due, opened.scan())
    _refuse_full_disk(steps, archive)
    order = {"remove": 0, "archive": 1, "compress": 2}  # what makes room goes first
    return Plan(sorted(steps, key=lambda step: order[step.kind]), findings)


def _last_step(file: Rotated, archive: str) -> Step:
    """Move a file that is past its days to the archive, under its whole path, or remove it."""
    return Step("archive", file, f"{archive}{file.path}") if archive else Step("remove", file)


def _without_held(due: Iterable[Step], scan: opened.Scan) -> tuple[list[Step], list[Finding]]:
    """Leave out what is still written to or has a second name, and say so."""
    writers = {(each.device, each.inode): each.pid for each in scan.files if each.written}
    steps: list[Step] = []
    findings: list[Finding] = []
    for step in due:
        file = step.file
        if pid := writers.get((file.device, file.inode)):
            unit = opened.unit(pid) or f"process {pid}"
            findings.append(
                _held(
                    step, f"{unit} still writes to it", f"let {unit} open a new log; look at its postrotate"
                )
            )
        elif file.links > 1:
            findings.append(
                _held(step, "it has a second name (hard link)", "remove the link or the file by hand")
            )
        elif scan.hidden:
            findings.append(
                _held(step, "some processes hide which files they write", "run as root of the host")
            )
        else:
            steps.append(step)
    return steps, findings


def _held(step: Step, reason: str, fix: str) -> Finding:
    """Say that a file that is due was left as it is."""
    path = paths.shown(step.file.path)
    return Finding(
        id="logs.rotated.held",
        subject=path,
        status=Status.WARN,
        observed=round(step.file.age_days, 1),
        unit="days",
        summary=f"{path} is due ({step.kind}) and was left as it is, because {reason}.",
        fix=fix,
    )


def _refuse_full_disk(steps: Sequence[Step], archive: str) -> None:
    """Raise ConfigurationError where a file system cannot take what has to be written to it."""
    removed = {step.file.device: 0 for step in steps}
    for step in steps:
        if step.kind == "remove":
            removed[step.file.device] += step.file.size
    needs: dict[str, int] = {}
    for step in steps:
        if step.kind == "archive":
            needs[archive] = needs.get(archive, 0) + step.file.size
        elif step.kind == "compress":
            folder = step.file.path.rpartition("/")[0]
            needs[folder] = max(needs.get(folder, 0), step.file.size)
    for folder, bytes_needed in needs.items():
        existing = copies.existing(folder)
        room = copies.free_bytes(existing) + removed.get(os.stat(existing).st_dev, 0)  # noqa: PTH116
        if room < bytes_needed + RESERVE_BYTES:
            raise ConfigurationError(
                f"{folder} has {room // 2**20} MiB free and compressing or archiving its logs needs "
                f"{(bytes_needed + RESERVE_BYTES) // 2**20} MiB: make room first; nothing was changed."
            )


def do(step: Step) -> None:
    """Do one step. Raises CourtkeeperError; the original is then still there."""
    try:
        if step.kind == "compress":
            copies.compress(step.file.path, step.target)
        elif step.kind == "archive":
            copies.move(step.file.path, step.target)
        else:
            copies.remove(step.file.path, (step.file.device, step.file.inode))
    except OSError as error:
        raise CourtkeeperError(
            f"{step.kind} {step.file.path} failed: {error.strerror or error}; the file is still there."
        ) from None
