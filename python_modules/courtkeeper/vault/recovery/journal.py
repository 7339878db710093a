"""What a recovery has done on this host: written before the first change, and after every step.

It tells a second run that there is nothing to do, and one that follows a killed one where to go on. Times
between steps are by the clock that no one sets, as long as the host was not restarted in between.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault.settings import VaultSettings

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A moment by both clocks: `wall` (UTC), and `steady_s` since the boot of that id."""

    wall: datetime
    boot: str
    steady_s: float

    def since(self, earlier: Moment) -> float:
        """Return the seconds since `earlier`, never less than 0."""
        if self.boot and self.boot == earlier.boot:
            return max(self.steady_s - earlier.steady_s, 0.0)
        return max((self.wall - earlier.wall).total_seconds(), 0.0)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step that is behind us. `source`: the one that it was of."""

    name: str
    duration_s: float
    source: str = ""


class Journal(msgspec.Struct, kw_only=True):
    """One recovery. `backups`: by source, the one that was chosen. `last`: when the last step ended.

    `named`: what was in use and was named to be replaced; all else was empty when the recovery began.
    `begun_again`: how often it went on after it had been broken off.
    """

    vault: str
    begun: Moment
    last: Moment
    waited_s: float
    backups: dict[str, str]
    named: tuple[str, ...] = ()
    steps: list[Step] = msgspec.field(default_factory=list)
    begun_again: int = 0
    finished_at: datetime | None = None
    rto_s: float = 0.0
    rpo_s: float = 0.0

    def did(self, name: str, now: Moment, source: str = "") -> float:
        """Note a step that ends now, and return how long it took."""
        took = round(now.since(self.last), 3)
        self.steps.append(Step(name=name, duration_s=took, source=source))
        self.last = now
        return took

    def is_done(self, source: str) -> bool:
        """Tell whether a source was recovered."""
        return any(step.source == source for step in self.steps)

    @property
    def order(self) -> str:
        """`library 3.1 s, packages 20 s, …`: the steps in their order, those of one name together."""
        took: dict[str, float] = {}
        for step in self.steps:
            took[step.name] = took.get(step.name, 0.0) + step.duration_s
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())


def moment() -> Moment:
    """Return this moment."""
    try:
        boot = _BOOT.read_text().strip()
    except OSError:
        boot = ""
    return Moment(wall=datetime.now(UTC), boot=boot, steady_s=time.monotonic())


def path_of(settings: VaultSettings) -> Path:
    """Return where the journal of a vault's recovery lies."""
    return Path(settings.state_directory, f"{settings.name}.recovery.json")


def read(settings: VaultSettings) -> Journal | None:
    """Return the journal; None where no recovery began here. Raises CourtkeeperError for one that is none."""
    path = path_of(settings)
    try:
        return decoded(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        what = str(error)[:160]
        raise CourtkeeperError(f"the journal {path} cannot be read ({what}): look at it by hand") from error


def decoded(content: bytes) -> Journal:
    """Return the journal in a file. Raises ValueError or msgspec's own for what is none."""
    return msgspec.json.decode(content, type=Journal)


def write(settings: VaultSettings, journal: Journal) -> None:
    """Write the journal, whole or not at all. Raises CourtkeeperError."""
    path = path_of(settings)
    part = path.with_name(f"{path.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.format(msgspec.json.encode(journal), indent=1) + b"\n")
            stream.flush()
            os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        said = f"{path} cannot be written ({error.strerror}): mend state_directory"
        raise CourtkeeperError(said) from error
