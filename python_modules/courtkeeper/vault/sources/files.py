"""Directories, logs and volumes of containers: one tar (GNU's), in the order of names, in constant memory.

Written block by block, as `tarfile` keeps every member it wrote. A file that changes, shrinks or vanishes
while it is read is named in the manifest; one that may not be read ends the backup of its source, because a
copy without it looks whole and is not. Sockets are left out; extended attributes and fractions of seconds are
not kept.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.pipe import CHUNK, Write
from courtkeeper.vault.settings import FilesSource
from courtkeeper.vault.sources import programs
from courtkeeper.vault.sources.base import Facts, SourceError, Step

_BLOCK = 512
_MOST_NAMED = 1000
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ELOOP}


class Files:
    """The source."""

    def __init__(self, settings: FilesSource) -> None:
        self._settings = settings

    @contextmanager
    def open(self) -> Iterator[_Session]:
        """See that every path is there."""
        yield _Session(self._settings, self._roots())

    def plan(self) -> list[str]:
        """Say which paths would be packed."""
        return [f"pack {root}" for root in self._roots()]

    def _roots(self) -> list[str]:
        roots = sorted({os.path.normpath(path) for path in self._settings.paths})
        roots += [_mountpoint(name) for name in sorted(set(self._settings.volumes))]
        for root in roots:
            if not os.path.lexists(root):
                raise SourceError(f"{root} is not there: mend the paths of {self._settings.name}")
        return [root for root in roots if not any(root.startswith(f"{other}/") for other in roots)]


class _Session:
    """One backup of the paths."""

    def __init__(self, settings: FilesSource, roots: list[str]) -> None:
        self.facts = Facts(software={"tar": "gnu"}, server={"host": os.uname().nodename})
        self._settings, self._roots = settings, roots
        self._count = 0
        self._changed: list[str] = []

    def steps(self) -> Iterator[Step]:
        """Yield the one tar."""
        yield Step("data.tar.zst.age", "tar", 0, self._produce, self._described)

    def _produce(self, write: Write) -> None:
        self._count, self._changed = 0, []
        packing = _Packing(write, self._settings, self._changed)
        for root in self._roots:
            packing.add(root)
        packing.end()
        self._count = packing.count

    def _described(self) -> dict[str, Any]:
        if not self._count:
            raise SourceError(f"{self._settings.name} has no files: mend its paths or what it excludes")
        more = len(self._changed) - _MOST_NAMED
        named = self._changed[:_MOST_NAMED] + ([f"… and {more} more"] if more > 0 else [])
        return {"files": self._count, "roots": self._roots, "changed": named}


class _Packing:
    """Writes one tar."""

    def __init__(self, write: Write, settings: FilesSource, changed: list[str]) -> None:
        self._write, self._settings, self._changed = write, settings, changed
        self._links: dict[tuple[int, int], str] = {}
        self._size = 0
        self.count = 0

    def add(self, path: str) -> None:
        """Add a path and what is below it, directories before what they hold."""
        waiting = [path] if not self._excluded(path) else []
        device: int | None = None
        while waiting:
            path = waiting.pop()
            try:
                facts = os.lstat(path)
                device = facts.st_dev if device is None else device
                self._one(path, facts)
                if stat.S_ISDIR(facts.st_mode) and (
                    facts.st_dev == device or not self._settings.one_file_system
                ):
                    names = sorted(os.listdir(path), reverse=True)  # noqa: PTH208 - names alone
                    below = [f"{path.rstrip('/')}/{name}" for name in names]
                    waiting += [name for name in below if not self._excluded(name)]
            except OSError as error:
                if error.errno not in _GONE:
                    raise _unreadable(path, error) from error
                self._note(path, "vanished")

    def end(self) -> None:
        """Write the end of the archive."""
        self._write(bytes(2 * _BLOCK))

    def _excluded(self, path: str) -> bool:
        return any(fnmatch.fnmatchcase(path, pattern) for pattern in self._settings.exclude)

    def _one(self, path: str, facts: os.stat_result) -> None:
        if stat.S_ISSOCK(facts.st_mode):
            return
        if not stat.S_ISREG(facts.st_mode):
            link = str(Path(path).readlink()) if stat.S_ISLNK(facts.st_mode) else ""
            self._header(path, facts, link=link)
            return
        known = self._links.get((facts.st_dev, facts.st_ino))
        if facts.st_nlink > 1 and known:
            self._header(path, facts, link=known, hard=True)
            return
        descriptor = _opened(path)
        try:
            self._file(path, descriptor)
        finally:
            os.close(descriptor)

    def _file(self, path: str, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            self._note(path, "became something else")
            return
        if facts.st_nlink > 1:
            self._links[facts.st_dev, facts.st_ino] = _inside(path)
        self._header(path, facts)
        left = facts.st_size
        while left and (chunk := os.read(descriptor, min(left, CHUNK))):
            left -= len(chunk)
            self._write(chunk)
        after = os.fstat(descriptor)
        if left:
            self._note(path, f"lost its last {left} bytes, which are zeros in the backup")
            self._zeros(left)
        elif after.st_size < facts.st_size or (
            after.st_mtime_ns != facts.st_mtime_ns
            and not (self._settings.growing and after.st_size > facts.st_size)
        ):
            self._note(path, "was written to")
        self._zeros(-facts.st_size % _BLOCK)

    def _zeros(self, count: int) -> None:
        while count:
            piece = min(count, CHUNK)
            self._write(bytes(piece))
            count -= piece

    def _header(self, path: str, facts: os.stat_result, *, link: str = "", hard: bool = False) -> None:
        info = tarfile.TarInfo(_inside(path))
        info.mode, info.uid, info.gid = stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid
        info.uname, info.gname = _user(facts.st_uid), _group(facts.st_gid)
        info.mtime = int(facts.st_mtime)
        info.type = tarfile.LNKTYPE if hard else _type(facts.st_mode)
        info.linkname = link
        info.size = facts.st_size if info.type == tarfile.REGTYPE else 0
        if info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            info.devmajor, info.devminor = os.major(facts.st_rdev), os.minor(facts.st_rdev)
        self._write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
        self.count += 1

    def _note(self, path: str, what: str) -> None:
        self._changed.append(f"{path.encode(errors='replace').decode()}: {what}")


def _type(mode: int) -> bytes:
    kinds = {
        stat.S_IFDIR: tarfile.DIRTYPE,
        stat.S_IFLNK: tarfile.SYMTYPE,
        stat.S_IFIFO: tarfile.FIFOTYPE,
        stat.S_IFCHR: tarfile.CHRTYPE,
        stat.S_IFBLK: tarfile.BLKTYPE,
    }
    return kinds.get(stat.S_IFMT(mode), tarfile.REGTYPE)


def _inside(path: str) -> str:
    """Return the name in the archive: as `tar` has it, without the first slash."""
    return path.lstrip("/") or "."


def _opened(path: str) -> int:
    """Open a file for reading; where we may, without touching its time of access."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:  # another's file
        return os.open(path, flags)


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def _unreadable(path: str, error: OSError) -> SourceError:
    return SourceError(
        f"{path.encode(errors='replace').decode()} cannot be read ({error.strerror}), and without it "
        "a backup would only look whole: let us read it, or exclude it"
    )


def _mountpoint(volume: str) -> str:
    """Return where a volume's files are."""
    docker = programs.found("docker", "")
    try:
        said = programs.said_by(docker, "volume", "inspect", "--format", "{{.Mountpoint}}", "--", volume)
    except SourceError as error:
        raise ConfigurationError(f"there is no volume {volume!r}: mend its name ({error})") from error
    if not Path(said).is_absolute():
        raise SourceError(f"the volume {volume!r} lies nowhere that we can read ({said[:100]!r})")
    return said
