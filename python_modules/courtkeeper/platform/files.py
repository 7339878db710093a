"""Where the platform keeps things, and how its files are written: whole or not at all."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from courtkeeper.findings import ConfigurationError, CourtkeeperError

ROOT_VARIABLE = "COURTKEEPER_ROOT"
_LOCK_TIMEOUT_S = 180.0
# What no configuration file of ours can hold: control characters, and bytes that are not UTF-8.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class Layout:
    """Every path of one checkout's platform. `root` is the checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.base = self.root / "var" / "platform"
        self.logs = self.base / "log"
        self.state = self.base / "state.json"
        self.secrets = self.base / "secrets.json"
        self.settings = self.base / "settings.json"
        self.records = self.base / "processes.json"
        self.lock = self.base / ".lock"

    def create(self) -> None:
        """Make the directories. Raises ConfigurationError where we cannot, or where they are another's."""
        try:
            for directory in (self.base.parent, self.base, self.logs):
                if not directory.exists():
                    directory.mkdir(mode=0o755)
                    directory.chmod(0o755)  # whatever the umask: Postgres may have to pass as another user
        except OSError as error:
            raise ConfigurationError(f"{error.filename} cannot be made: {error.strerror}.") from None
        self.require_owner()

    def require_owner(self) -> None:
        """Raise ConfigurationError if the platform is another user's: mixed owners would work for nobody."""
        owner = self.base.stat().st_uid
        if owner != os.geteuid():
            raise ConfigurationError(
                f"{self.base} belongs to uid {owner}, and you are uid {os.geteuid()}: "
                "run this as that user, or use a checkout of your own."
            )


def find_root(start: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the checkout: $COURTKEEPER_ROOT, else the nearest ancestor of `start` with an ansible.cfg.

    Raises ConfigurationError if there is none.
    """
    if named := environment.get(ROOT_VARIABLE):
        return require_directory(Path(named), f"${ROOT_VARIABLE}")
    for directory in (start.resolve(), *start.resolve().parents):
        if (directory / "ansible.cfg").is_file():
            return directory
    raise ConfigurationError(
        f"{start} is in no checkout of courtkeeper (no ansible.cfg here or above): "
        f"go to one, or name it with --root or ${ROOT_VARIABLE}."
    )


def require_directory(path: Path, origin: str) -> Path:
    """Return `path` made absolute.

    Raises ConfigurationError, naming `origin`, if it is no directory or one that no server could be told.
    """
    try:
        found = path.resolve() if path.is_dir() else None
    except (OSError, ValueError):  # too long, or a zero byte
        found = None
    if found is None:
        raise ConfigurationError(f"{origin} names {str(path)!r}, which is no directory.")
    if _UNWRITABLE.search(str(found)):
        raise ConfigurationError(
            f"{origin} is {str(found)!r}: Postgres cannot work where a directory's name has a line break or "
            "another control character, or is not UTF-8. Rename it."
        )
    return found


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old content or the new, and never with a wider mode."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)  # exactly: the umask may have narrowed it
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    part.replace(path)


@contextmanager
def exclusive(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file; call `waiting` once if somebody else does. Raises CourtkeeperError after 180 s.

    It is free again when we end, however we end; our children do not inherit it.
    """
    with lock.open("a") as stream:
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        told = False
        while not _try_lock(stream.fileno()):
            if not told:
                waiting()
                told = True
            if time.monotonic() > deadline:
                raise CourtkeeperError(
                    f"Another `courtkeeper platform` has held {lock} for {_LOCK_TIMEOUT_S:.0f} s: "
                    "see what it is doing."
                )
            time.sleep(0.05)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
