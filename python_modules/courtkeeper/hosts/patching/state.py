"""What lies under /var/lib/courtkeeper/patching: saved lists, the journal of a run, the way back."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.hosts.patching.model import Change, Journal, Plan, Saved

CACHE = Path("/var/cache/apt/archives")


class State:
    """The directory of a host's patching: `lists/`, `archives/`, `journal.json`, three marks.

    Only root may look: an archive that lies here is installed when a run goes back.
    """

    def __init__(self, directory: str, native: str) -> None:
        """Work under `directory`, which need not exist yet, for packages of the architecture `native`."""
        self.directory = Path(directory)
        self.native = native
        self.lists = self.directory / "lists"
        self.archives = self.directory / "archives"
        self._journal = self.directory / "journal.json"
        self._indexed = self.directory / "index"
        self._rebooted = self.directory / "rebooted"
        self.drained = self.directory / "drained"

    def make(self) -> None:
        """Make the directories. Raises CourtkeeperError where that cannot be."""
        try:
            for path in (self.directory, self.lists, self.archives):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.chmod(0o700)
        except OSError as error:
            raise CourtkeeperError(f"{self.directory} cannot be made: {error.strerror}.") from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the host to oneself. Raises CourtkeeperError where another run of ours is at work on it.

        A module goes on when its controller is lost: its journal is not one of an interrupted run.
        """
        self.make()
        with (self.directory / "lock").open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CourtkeeperError(
                    "Another run of os_patching is at work on this host: let it finish, then run again."
                ) from None
            yield

    def write(self, path: Path, value: object) -> None:
        """Write `value` as JSON, whole or not at all, and on the disk when this returns."""
        scratch = path.with_name(f".{path.name}.new")
        try:
            with scratch.open("wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(msgspec.json.format(msgspec.json.encode(value)))
                stream.flush()
                os.fsync(stream.fileno())
            scratch.replace(path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise CourtkeeperError(f"{path} cannot be written: {error.strerror}.") from None

    def journal(self) -> Journal | None:
        """Return what an interrupted run left, or None."""
        return _read(self._journal, Journal)

    def note(self, journal: Journal) -> None:
        """Write down what the run is about to do, before it does it."""
        self.write(self._journal, journal)

    def close(self) -> None:
        """Forget the journal: the run is finished."""
        self._journal.unlink(missing_ok=True)

    def rebooted_for(self) -> str:
        """Return the reason for the last reboot of ours that the reboot did not mend, or nothing."""
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(self._rebooted.read_bytes(), type=str)
        return ""

    def rebooted(self, reason: str) -> None:
        """Remember after a reboot that `reason` for one is there still; nothing where there is none."""
        if reason:
            self.write(self._rebooted, reason)
        else:
            self._rebooted.unlink(missing_ok=True)

    def save(self, run: str, saved: Saved, keep: int) -> Path:
        """Save the package list of `run`; of older ones the last `keep` stay."""
        path = self.lists / f"{run}.json"
        self.write(path, saved)
        for old in sorted(self.lists.glob("*.json"))[: -max(keep, 1)]:
            old.unlink()
        return path

    def index_age_s(self, now: float) -> float:
        """Return how long ago this host's package index was fetched by a plan, in seconds."""
        with suppress(OSError):
            return abs(now - self._indexed.stat().st_mtime)
        return float("inf")

    def index_fetched(self) -> None:
        """Remember that the index was fetched just now."""
        self.make()
        self._indexed.touch()

    def archive(self, name: str, version: str) -> Path | None:
        """Return the archive of `name` in `version`, kept here or still in apt's cache."""
        package, _, foreign = name.partition(":")
        # apt writes the colon of an epoch as %3a in the name of a file.
        start = f"{package}_{version.replace(':', '%3a')}_"
        for directory in (self.archives, CACHE):
            for architecture in [foreign] if foreign else [self.native, "all"]:
                if (path := directory / f"{start}{architecture}.deb").is_file():
                    return path
        return None

    def keep_archives(self, wanted: list[tuple[str, str]], there: list[tuple[str, str]]) -> None:
        """Keep the archives of `wanted` (name, version), and those kept here that are installed: `there`.

        apt's cache is cleaned by others, and repositories drop old versions: what is new today is what the
        next run has to go back to.
        """
        present = {path.name for path in self.archives.iterdir()}
        kept = {p.name for pair in there if (p := self.archive(*pair)) and p.name in present}
        for name, version in wanted:
            source = self.archive(name, version)
            if source and source.parent != self.archives:
                source = self._copied(source)
            if source:
                kept.add(source.name)
        for path in self.archives.iterdir():
            if path.name not in kept:
                path.unlink()

    def _copied(self, source: Path) -> Path:
        """Copy an archive to those that are kept, whole or not at all. Raises CourtkeeperError."""
        target, part = self.archives / source.name, self.archives / f".{source.name}.part"
        try:
            shutil.copy2(source, part)
            return part.replace(target)
        except OSError as error:
            raise CourtkeeperError(
                f"{source.name}, the way back, cannot be kept in {self.archives}: {error.strerror}."
            ) from None
        finally:
            part.unlink(missing_ok=True)


def _read(path: Path, kind: type[Journal]) -> Journal | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CourtkeeperError(
            f"{path} says that a run was interrupted and cannot be read ({error}): look at "
            "`dpkg --audit`, then remove the file."
        ) from None


def remaining(plan: Plan, versions: dict[str, str], is_newer: Callable[[str, str], bool]) -> list[str]:
    """Return `name=version` of what `plan` has not brought to its version yet.

    What somebody else brought beyond it since is left as it is.
    """
    return [
        f"{c.name}={c.target}" for c in plan.changes if not _reached(c, versions.get(c.name, ""), is_newer)
    ]


def _reached(change: Change, version: str, is_newer: Callable[[str, str], bool]) -> bool:
    if version in {"", change.current, change.target}:
        return version == change.target
    return is_newer(version, change.target)
