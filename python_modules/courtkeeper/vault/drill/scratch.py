"""Scratch instances: a directory of a random name, a server in it, and nothing of either afterwards.

No name can be passed in: what is destroyed was made here a moment ago. What a killed drill left is known by
its directory's name, its owner and the lock in it that nobody holds any more, and is removed by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError

_NAME = re.compile(r"courtkeeper-drill-[a-z0-9_.-]+-[0-9a-f]{16}")
_RANDOM = 16
_PROGRAMS = ("postgres", "initdb", "pg_", "pgbackrest", "redis", "valkey")
_LOCK = "lock"
_PATIENCE_S = 10.0


class ScratchError(CourtkeeperError):
    """A scratch instance could not be made or removed."""


@contextmanager
def directory(parent: str, vault: str, owner: tuple[int, int] | None = None) -> Iterator[Path]:
    """Make a scratch directory (0700) that whoever Postgres runs as owns, and destroy it whatever happens.

    `owner` (uid, gid): as root another one than `account` says. Raises ScratchError, also where the operating
    system refuses something to whoever works in it: a disk that is full.
    """
    path = _made(Path(parent or tempfile.gettempdir()), vault, owner or account())
    lock = -1
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield path
    except OSError as error:
        raise ScratchError(
            f"the work in {path} failed ({error.strerror or error}): make room in {path.parent}, or mend it"
        ) from error
    finally:
        try:
            _destroy(path)
        finally:
            if lock >= 0:
                os.close(lock)


def remove_leftovers(parent: str, vault: str, owner: tuple[int, int] | None = None) -> list[Path]:
    """Destroy what killed drills of this vault left; return the directories. Raises ScratchError."""
    gone = []
    for path in sorted(Path(parent or tempfile.gettempdir()).glob(f"courtkeeper-drill-{vault}-*")):
        if _is_ours(path, vault, owner or account()) and _nobody_holds(path):
            _destroy(path)
            gone.append(path)
    return gone


def account() -> tuple[int, int] | None:
    """Return whom a server runs as that refuses root (uid, gid); None when we are not root."""
    if os.geteuid():
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise ConfigurationError(
            "Postgres refuses to run as root, and there is no user `nobody` to run the scratch server as: "
            "run the drill as an ordinary user"
        ) from None
    return entry.pw_uid, entry.pw_gid


def mark_of(path: Path) -> str:
    """Return the random part of a scratch directory's name: what its processes are known by."""
    return path.name[-_RANDOM:]


def processes(mark: str) -> list[int]:
    """Return the ids of the servers and tools that stand in a directory with this mark or name it.

    Postgres names its directory; a Valkey writes its address over its title, but stands in the directory.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if not (entry / "comm").read_text().startswith(_PROGRAMS):
                    continue
                title = (entry / "cmdline").read_text(errors="replace")
                if mark in title or mark in str((entry / "cwd").readlink()):
                    found.append(int(entry.name))
    return found


def _made(parent: Path, vault: str, who: tuple[int, int] | None) -> Path:
    path = parent / f"courtkeeper-drill-{vault}-{secrets.token_hex(8)}"
    try:
        path.mkdir(mode=0o700)
        if who:
            os.chown(path, *who)
    except OSError as error:
        raise ScratchError(
            f"no scratch directory can be made in {parent} ({error.strerror}): mend it, or name another in "
            "policy.drill.scratch_directory"
        ) from error
    return path


def _is_ours(path: Path, vault: str, who: tuple[int, int] | None) -> bool:
    if not _NAME.fullmatch(path.name) or len(path.name) != len(f"courtkeeper-drill-{vault}-") + _RANDOM:
        return False
    try:
        facts = path.lstat()
    except OSError:
        return False
    owners = {os.geteuid(), *(who or ())[:1]}
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid in owners and stat.S_IMODE(facts.st_mode) == 0o700


def _nobody_holds(path: Path) -> bool:
    try:
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return not any(path.iterdir())  # killed, or just begun: an empty one is nobody's loss
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def end(mark: str) -> None:
    """End the servers and tools that work in a directory of that name or mark. Raises ScratchError."""
    deadline = time.monotonic() + _PATIENCE_S
    while running := processes(mark):
        how = signal.SIGKILL if time.monotonic() > deadline - _PATIENCE_S / 2 else signal.SIGQUIT
        for pid in running:
            with contextlib.suppress(OSError):
                os.kill(pid, how)
        if time.monotonic() > deadline:
            raise ScratchError(f"processes {running} that work in {mark} cannot be ended: end them by hand")
        time.sleep(0.02)


def _destroy(path: Path) -> None:
    """End what runs in a scratch directory, and remove it."""
    end(mark_of(path))
    problem: OSError | None = None
    for _ in range(3):  # a dying server may still have written something
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            return
        except OSError as error:
            problem = error
        else:
            return
    raise ScratchError(f"the scratch directory {path} cannot be removed: {problem}")
