"""Compress and move files so that a kill at any point loses no line and leaves none twice.

A copy is written under a name of its own (`.NAME.courtkeeper-part`), brought to the disk, read again and
compared by sha256, then renamed; the original goes last. A second run that finds original and copy compares
them and removes the original. Names are opened relative to their directory and links are never followed,
because a log's directory may belong to the service that writes it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Literal

from courtkeeper.findings import CourtkeeperError

CHUNK = 2**20
LEVEL = 6
PART = ".courtkeeper-part"


def existing(path: str) -> str:
    """Return the nearest directory above or at `path` that exists."""
    while not os.path.isdir(path):  # noqa: PTH112
        path = os.path.dirname(path) or "/"  # noqa: PTH120
    return path


def free_bytes(path: str) -> int:
    """Return how many bytes may be written to the file system of `path`."""
    return shutil.disk_usage(path).free


def compress(source: str, target: str) -> None:
    """Replace `source` by its gzip copy `target` in the same directory, with its owner, mode and times.

    Raises CourtkeeperError if `target` exists with other content, or if `source` changes meanwhile.
    """
    folder, name = os.path.split(source)
    with _directory(folder) as at:
        _replace(at, name, at, target.rpartition("/")[2], "gzip", source)


def move(source: str, target: str) -> None:
    """Move `source` to `target`, on whatever file system; directories that are missing are made (0750).

    Where `target` exists with other content, the copy's name gets the first 12 digits of its sha256.
    """
    folder, name = os.path.split(source)
    goal, goal_name = os.path.split(target)
    os.makedirs(goal, mode=0o750, exist_ok=True)  # noqa: PTH103
    with _directory(folder) as here, _directory(goal) as there:
        sha = _sha256(here, name, "plain")
        if _present(there, goal_name) and _sha256(there, goal_name, "plain") != sha:
            goal_name = f"{goal_name}-{sha[:12]}"
        _replace(here, name, there, goal_name, "plain", source)


def remove(path: str, inode: tuple[int, int]) -> None:
    """Remove `path` if it is still the file (device, inode) that was meant."""
    folder, name = os.path.split(path)
    with _directory(folder) as at:
        status = os.stat(name, dir_fd=at, follow_symlinks=False)
        if (status.st_dev, status.st_ino) != inode:
            raise CourtkeeperError(f"{path} is another file than a moment ago and was left alone.")
        os.unlink(name, dir_fd=at)


@contextmanager
def _directory(path: str) -> Iterator[int]:
    """Open a directory, so that what is done in it happens there whatever becomes of its name."""
    at = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield at
    finally:
        os.close(at)


@contextmanager
def _reading(at: int, name: str, kind: str) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file (of `kind` gzip: its content), with the number of its descriptor."""
    number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    with os.fdopen(number, "rb") as raw:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise CourtkeeperError(f"{name} is no regular file and was left alone.")
        if kind == "gzip":
            with gzip.open(raw) as content:
                yield content, number  # type: ignore[misc]
        else:
            yield raw, number


def _sha256(at: int, name: str, kind: str) -> str:
    """Return the sha256 of a file's content; '' for a gzip file that is damaged."""
    digest = hashlib.sha256()
    try:
        with _reading(at, name, kind) as (stream, _number):
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return ""
    return digest.hexdigest()


def _present(at: int, name: str) -> bool:
    """Tell whether something has this name."""
    try:
        os.stat(name, dir_fd=at, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _replace(
    here: int, name: str, there: int, goal: str, kind: Literal["gzip", "plain"], source: str
) -> None:
    """Copy `name` in `here` to `goal` in `there`, compare, rename, and remove the original."""
    before = os.stat(name, dir_fd=here, follow_symlinks=False)
    part = f".{goal}{PART}"
    if _present(there, goal):
        if _sha256(there, goal, kind) != _sha256(here, name, "plain"):
            raise CourtkeeperError(
                f"{source} and {goal} are both there and differ: look at both and remove one of them."
            )
    else:
        try:
            digest = _copy(here, name, there, part, kind)
            _refuse_bad_copy(_sha256(there, part, kind), digest, source)
            _refuse_changed(here, name, before, source)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=there)
            raise
        os.rename(part, goal, src_dir_fd=there, dst_dir_fd=there)
    os.fsync(there)  # the copy has to have its name on the disk before the original loses its own
    _refuse_changed(here, name, before, source)
    os.unlink(name, dir_fd=here)
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=there)  # of a run that was killed


def _copy(here: int, name: str, there: int, part: str, kind: str) -> str:
    """Write the copy to the disk under the name `part` and return the original's sha256."""
    with suppress(FileNotFoundError):
        os.unlink(part, dir_fd=there)
    digest = hashlib.sha256()
    made = os.open(
        part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=there
    )
    with _reading(here, name, "plain") as (content, number), os.fdopen(made, "wb") as raw:
        status = os.fstat(number)
        with gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) if kind == "gzip" else _as_it_is(raw) as copy:
            while chunk := content.read(CHUNK):
                digest.update(chunk)
                copy.write(chunk)
        raw.flush()
        os.fchown(made, status.st_uid, status.st_gid)
        os.fchmod(made, stat.S_IMODE(status.st_mode) & 0o777)
        os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(made)
    return digest.hexdigest()


@contextmanager
def _as_it_is(stream: BinaryIO) -> Iterator[BinaryIO]:
    """Give `stream` the shape of a compressor."""
    yield stream


def _refuse_bad_copy(read: str, written: str, source: str) -> None:
    """Raise if what was read back is not what was written."""
    if read != written:
        raise CourtkeeperError(f"the copy of {source} does not read as it was written: look at the disk.")


def _refuse_changed(at: int, name: str, before: os.stat_result, source: str) -> None:
    """Raise if a file is not the one, or not as it was, when the copy began."""
    now = os.stat(name, dir_fd=at, follow_symlinks=False)
    if (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) != (
        before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns,
    ):  # fmt: skip
        raise CourtkeeperError(
            f"{source} changed while it was copied and was left as it is: something writes to it."
        )
