"""A directory: a disk, a mounted share, or the embedded platform's own."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from courtkeeper.vault.destinations.base import DestinationError, MissingError, Stored, Why
from courtkeeper.vault.settings import DirectorySettings

_CHUNK = 1 << 20
_PART = ".part"
_WHY: dict[int | None, Why] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EROFS: "denied",
    errno.ENOENT: "missing_place",
    errno.ENOTDIR: "missing_place",
    errno.EIO: "unreachable",
    errno.ESTALE: "unreachable",
}
_MEND: dict[Why, str] = {
    "full": "make room, or let old backups go",
    "denied": "mend its permissions or its mount",
    "missing_place": "mount it or mend its path",
}


class DirectoryDestination:
    """Objects are files under `path`; a file that is being written is hidden and ends in `.part`."""

    def __init__(self, settings: DirectorySettings) -> None:
        self._settings = settings
        self._root = Path(settings.path)

    @property
    def name(self) -> str:
        """The name that the settings give it."""
        return self._settings.name

    @property
    def where(self) -> str:
        """The path."""
        return str(self._root)

    def prepare(self) -> None:
        """Make the directory (0700), except where a mount should be and is none; see that it takes files."""
        if self._settings.mounted and not os.path.ismount(self._root):
            raise DestinationError(
                f"destination {self.name}: {self._root} is not mounted: mount it, or say mounted: false",
                "missing_place",
            )
        with self._explained():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self._root / f".probe-{secrets.token_hex(4)}{_PART}"
            probe.touch(mode=0o600)
            probe.unlink()

    def begin(self, key: str, expected: int = 0) -> FileUpload:  # noqa: ARG002 - compressed: who knows
        """Begin a file."""
        with self._explained():
            path = self._path(key)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return FileUpload(self, path)

    def put(self, key: str, content: bytes) -> None:
        """Store a small file: written aside, synced, renamed, its directory synced."""
        upload = self.begin(key, len(content))
        try:
            upload.write(content)
            upload.commit()
        except DestinationError:
            upload.abort()
            raise

    def read(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield a file's bytes."""
        left = length
        with self._explained(key), self._path(key).open("rb", buffering=0) as stream:
            stream.seek(offset)
            while left is None or left > 0:
                chunk = stream.read(_CHUNK if left is None else min(_CHUNK, left))
                if not chunk:
                    return
                left = None if left is None else left - len(chunk)
                yield chunk

    def listing(self, prefix: str) -> Iterator[Stored]:
        """Yield the files whose keys begin with `prefix`; hidden ones are not there yet."""
        start = self._root / prefix.rpartition("/")[0]
        with self._explained():
            self._root.stat()  # an unmounted directory is not an empty one
            found = []
            for directory, _, names in os.walk(start, onerror=_unless_gone):
                base = Path(directory)
                for name in names:
                    key = str((base / name).relative_to(self._root))
                    if not name.startswith(".") and key.startswith(prefix):
                        found.append(key)
        for key in sorted(found):
            if stored := self.stat(key):
                yield stored

    def stat(self, key: str) -> Stored | None:
        """Return one file's facts; None if there is no such file."""
        with self._explained():
            try:
                facts = self._path(key).stat()
            except FileNotFoundError:
                self._root.stat()
                return None
            if not stat.S_ISREG(facts.st_mode):
                return None  # a pipe that somebody put there would be read for ever
            return Stored(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))

    def delete(self, key: str) -> None:
        """Remove a file, and the directory of a backup that has none left."""
        path = self._path(key)
        with self._explained():
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                sync_directory(path.parent)  # what comes next must not reach the disk before this
            with contextlib.suppress(OSError):  # others are in it
                if path.parent != self._root:
                    path.parent.rmdir()
                    sync_directory(path.parent.parent)

    def sweep(self, prefix: str, older_than_s: float) -> list[str]:
        """Remove half-written files that nobody has touched for `older_than_s`, and empty directories."""
        gone = []
        limit = time.time() - older_than_s
        with self._explained():
            for directory, _, names in os.walk(self._root / prefix.rpartition("/")[0], topdown=False):
                for name in names:
                    path = Path(directory, name)
                    if name.startswith(".") and name.endswith(_PART) and _is_older(path, limit):
                        path.unlink(missing_ok=True)
                        gone.append(str(path.relative_to(self._root)))
                if Path(directory) != self._root and _is_older(Path(directory), limit):
                    with contextlib.suppress(OSError):  # not empty
                        Path(directory).rmdir()
        return sorted(gone)

    def free(self) -> int:
        """Return the bytes that still fit."""
        with self._explained():
            return shutil.disk_usage(self._root).free

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise DestinationError(f"{key!r} is no name of an object", "other")
        return self._root.joinpath(*parts)

    @contextlib.contextmanager
    def _explained(self, key: str = "") -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if key and self._root.is_dir():
                raise MissingError(f"{key} is not on {self.name} ({self.where})") from error
            raise self.problem(error) from error
        except OSError as error:
            raise self.problem(error) from error

    def problem(self, error: OSError) -> DestinationError:
        """Return what the operating system refuses, in one sentence."""
        why = _WHY.get(error.errno, "other")
        mend = f": {_MEND[why]}" if why in _MEND else ""
        return DestinationError(
            f"destination {self.name} ({self.where}): {error.strerror or error}{mend}", why
        )


class FileUpload:
    """One file that is being written."""

    def __init__(self, destination: DirectoryDestination, path: Path) -> None:
        self._destination = destination
        self._path = path
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PART}")
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._stream = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(chunk)
        try:
            while view:
                view = view[self._stream.write(view) :]
        except OSError as error:
            raise self._destination.problem(error) from error

    def commit(self) -> None:
        """Sync, rename, and sync the directory: what is visible is whole and survives a power cut."""
        try:
            os.fsync(self._stream.fileno())
            self._stream.close()
            self._part.replace(self._path)
            sync_directory(self._path.parent)
            sync_directory(self._path.parent.parent)
        except OSError as error:
            raise self._destination.problem(error) from error

    def abort(self) -> None:
        """Remove what was written."""
        with contextlib.suppress(OSError):
            self._stream.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._path.parent.rmdir()  # fails where anything is in it


def _unless_gone(error: OSError) -> None:
    """Raise what os.walk would hide: a directory that may not be read is not an empty one."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_older(path: Path, limit: float) -> bool:
    """Tell whether nobody has touched it since; what another writer has just removed is none of ours."""
    try:
        return path.lstat().st_mtime < limit
    except FileNotFoundError:
        return False


def sync_directory(path: Path) -> None:
    """Make a directory's entries survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
