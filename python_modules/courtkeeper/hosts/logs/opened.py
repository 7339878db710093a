"""Which files processes hold open: a file that is still written to must not be compressed or removed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

DELETED = " (deleted)"
UNIT = re.compile(r"([A-Za-z0-9:_.\\@-]+\.(?:service|scope))(?:/|\Z)")
# address perms offset device inode, and a path where there is one: proc_pid_maps(5).
INODE = re.compile(r"^\S+ \S+ \S+ \S+ ([1-9]\d{0,19})\b", re.ASCII | re.MULTILINE)


class Open(msgspec.Struct, frozen=True):
    """One file that a process holds open; `held_bytes` is what it takes of its disk."""

    pid: int
    path: str
    device: int
    inode: int
    held_bytes: int
    written: bool
    deleted: bool


class Scan(msgspec.Struct, frozen=True):
    """All open regular files, and the processes that could not be looked into."""

    files: list[Open]
    hidden: list[int]


def flags(text: str) -> int:
    """Return the open flags from the text of /proc/PID/fdinfo/N; read and write where they are not told."""
    found = re.search(r"^flags:\s*([0-7]{1,12})\s*$", text, re.MULTILINE)
    return int(found[1], 8) if found else os.O_RDWR


def unit_of(cgroup: str) -> str:
    """Return the systemd unit in the text of /proc/PID/cgroup; '' where it names none."""
    units = [unit for line in cgroup.splitlines() for unit in UNIT.findall(line.rpartition(":")[2])]
    return units[-1] if units else ""


def unit(pid: int) -> str:
    """Return the systemd unit that process `pid` belongs to; '' if it is gone or has none."""
    try:
        return unit_of(Path(f"/proc/{pid}/cgroup").read_text(errors="replace"))
    except OSError:
        return ""


def scan() -> Scan:
    """Look at every process of the host."""
    files: list[Open] = []
    hidden: list[int] = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdigit():
            continue
        try:
            files += _of(int(name))
        except PermissionError:
            hidden.append(int(name))
        except OSError:
            continue  # it ended meanwhile
    return Scan(files, hidden)


def mapped() -> set[int]:
    """Return the inodes of all files that processes have mapped, such as a library of a closed descriptor.

    The device of /proc/PID/maps is not always that of stat(2) (btrfs, overlayfs), so that it is left out.
    """
    found: set[int] = set()
    for name in os.listdir("/proc"):  # noqa: PTH208
        with suppress(OSError):  # it ended, or is one that `scan` calls hidden
            text = Path(f"/proc/{name}/maps").read_text(errors="replace") if name.isdigit() else ""
            found.update(inodes(text))
    return found


def inodes(maps: str) -> set[int]:
    """Return the inodes in the text of /proc/PID/maps."""
    return {int(inode) for inode in INODE.findall(maps)}


def mount(descriptor: int) -> str:
    """Return the number of the mount that an open file of ours lies on; a bind mount has one of its own."""
    text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
    return text.partition("mnt_id:")[2].split()[0]


def _of(pid: int) -> Iterator[Open]:
    """Look at one process. Raises PermissionError where its files are hidden from us."""
    for number in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
        link = f"/proc/{pid}/fd/{number}"
        try:
            target = os.readlink(link)  # noqa: PTH115 - where that is denied, all of the process is
            try:
                status = os.stat(link)  # noqa: PTH116 - of every descriptor of the host: no object for each
            except OSError:
                continue  # closed meanwhile, or on a file system that answers nobody here (FUSE, a dead NFS)
            if not stat.S_ISREG(status.st_mode):
                continue
            mode = flags(Path(f"/proc/{pid}/fdinfo/{number}").read_text())
        except FileNotFoundError:
            continue  # closed meanwhile
        yield Open(
            pid,
            target.removesuffix(DELETED),
            status.st_dev,
            status.st_ino,
            status.st_blocks * 512,
            (mode & os.O_ACCMODE) != os.O_RDONLY,
            status.st_nlink == 0,
        )
