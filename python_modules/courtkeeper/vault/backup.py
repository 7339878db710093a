"""One run of backups: every source, through the pipe, to every destination, and then the manifest.

The order that makes a killed run harmless: parts first (invisible until whole), then, when all of them are
good, the manifest on each destination that has all of them. A run that ends anywhere before leaves objects
without a manifest, which nobody takes for a backup and the next run sweeps away. Nothing here removes a backup.
"""

from __future__ import annotations

import contextlib
import fcntl
import platform as machine
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from courtkeeper import __version__
from courtkeeper.findings import CourtkeeperError, Finding, Result, Status
from courtkeeper.vault import findings, keys, recipients
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.copying import copy_parts, tried
from courtkeeper.vault.destinations import Destination, DestinationError, destination
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.pipe import Sealed, seal
from courtkeeper.vault.settings import SourceSettings, VaultSettings
from courtkeeper.vault.sources import choose
from courtkeeper.vault.sources.base import Session, SourceError, Step

Clock = Callable[[], datetime]
# Told (done, total, text).
Progress = Callable[[int, int, str], None]
# Told the name of each step; tests end the process there.
Trace = Callable[[str], None]

# Older half-written objects belong to nobody: no backup takes so long.
_SWEEP_AFTER_S = 2 * 86400.0
# A wall clock that moves so much more or less than the monotonic one was set meanwhile.
_CLOCK_S = 60.0


class BusyError(CourtkeeperError):
    """Another backup of the same vault is at work."""


def backup(
    settings: VaultSettings,
    *,
    only: Sequence[str] = (),
    check_mode: bool = False,
    now: Clock = lambda: datetime.now(UTC),
    progress: Progress = lambda _done, _total, _text: None,
    trace: Trace = lambda _step: None,
) -> Result:
    """Back up every source of a vault, or those named in `only`.

    A source or a destination that fails is a finding and does not keep the others from their turn. Raises
    ConfigurationError (nothing was done), BusyError, and CourtkeeperError where nothing at all could be stored.
    """
    chosen = [settings.source(name) for name in only] if only else list(settings.sources)
    run = _Run(settings, now, progress, trace)
    if check_mode:
        return run.planned(chosen)
    with _alone(settings):
        trace("locked")
        return run.done(chosen)


class _Run:
    """One run over the sources of a vault."""

    def __init__(self, settings: VaultSettings, now: Clock, progress: Progress, trace: Trace) -> None:
        self._settings, self._now, self._progress, self._trace = settings, now, progress, trace
        self._recipients = recipients.parsed(settings.recipients)
        self._key = keys.signing_key(settings.signing_key_file) if settings.signing_key_file else None
        self._destinations = [destination(entry) for entry in settings.destinations]
        self._result = Result()

    def planned(self, chosen: Sequence[SourceSettings]) -> Result:
        """Say what would be done."""
        where = ", ".join(entry.name for entry in self._destinations)
        for source in chosen:
            self._result.actions += [f"{text}, to {where}" for text in choose.source(source).plan()]
        self._result.changed = bool(self._result.actions)
        self._result.msg = f"would back up {len(chosen)} sources to {where}"
        return self._result

    def done(self, chosen: Sequence[SourceSettings]) -> Result:
        """Do it."""
        begun = time.monotonic()
        usable = self._prepared()
        manifests_written: list[Manifest] = []
        for number, source in enumerate(chosen):
            self._progress(number, len(chosen), f"backing up {source.name}")
            self._trace(f"source:{source.name}")
            try:
                manifest = _OneBackup(self, source, usable).done()
            except CourtkeeperError as error:
                self._result.findings.append(findings.source_failed(source.name, error))
            else:
                manifests_written.append(manifest)
        self._progress(len(chosen), len(chosen), "done")
        return self._summed(chosen, manifests_written, time.monotonic() - begun)

    def _prepared(self) -> list[Destination]:
        """Return the destinations that can be written to; what else there is becomes a finding."""
        usable = []
        for entry in self._destinations:
            try:
                entry.prepare()
                self._swept(entry)
            except DestinationError as error:
                self._result.findings.append(
                    findings.destination_failed(entry, error, "nothing was stored there")
                )
            else:
                usable.append(entry)
            self._trace(f"prepared:{entry.name}")
        if not usable:
            error = CourtkeeperError(
                "no destination can be written to, so nothing was backed up: "
                + "; ".join(finding.summary for finding in self._result.findings)
            )
            error.partial = self._result
            raise error
        return usable

    def _swept(self, entry: Destination) -> None:
        for key in entry.sweep(f"{self._settings.name}/", _SWEEP_AFTER_S):
            self._result.actions.append(f"removed {key} on {entry.name}, which a killed backup had left")
            self._result.changed = True

    def _summed(self, chosen: Sequence[SourceSettings], written: Sequence[Manifest], took_s: float) -> Result:
        result = self._result
        result.changed = result.changed or bool(written)
        result.metrics = {
            "duration_s": round(took_s, 3),
            "sources_count": len(chosen),
            "backups_count": len(written),
            "plain_bytes": sum(manifest.plain_size for manifest in written),
            "sealed_bytes": sum(manifest.sealed_size for manifest in written),
        }
        result.details["backups"] = [
            {
                "source": one.source,
                "id": one.id,
                "plain_bytes": one.plain_size,
                "sealed_bytes": one.sealed_size,
            }
            for one in written
        ]
        result.msg = f"backed up {len(written)} of {len(chosen)} sources in {took_s:.1f} s"
        if chosen and not written:
            error = CourtkeeperError(
                "no source could be backed up: "
                + "; ".join(one.summary for one in result.findings if one.id == findings.SOURCE_FAILED)
            )
            error.partial = result
            raise error
        return result


class _OneBackup:
    """One backup of one source."""

    def __init__(self, run: _Run, source: SourceSettings, usable: Sequence[Destination]) -> None:
        self._run, self._source = run, source
        self._settings = run._settings  # noqa: SLF001 - one run, in two classes
        self._usable = list(usable)
        self._lagging: dict[str, DestinationError] = {}
        self._parts: list[Part] = []
        self._taken_at = run._now()  # noqa: SLF001
        self._begun = time.monotonic()
        self._id = manifests.new_id(self._taken_at)
        self._prefix = manifests.prefix_of(self._settings.name, source.name, self._id)

    def done(self) -> Manifest:
        """Read the source, store the parts everywhere, and write the manifest where all of them are."""
        try:
            with choose.source(self._source).open() as session:
                for step in session.steps():
                    self._stored(step)
                manifest = self._manifest(session)
        except BaseException:
            self._removed()
            raise
        if not manifest.parts:
            raise SourceError(f"{self._source.name} has nothing to back up")
        self._caught_up()
        self._committed(manifest)
        self._told(session, manifest)
        return manifest

    @property
    def _good(self) -> list[Destination]:
        return [entry for entry in self._usable if entry.name not in self._lagging]

    def _stored(self, step: Step) -> None:
        pace = self._settings.pace
        for left in reversed(range(pace.attempts)):
            try:
                sealed = seal(
                    step.produce,
                    self._prefix + step.name,
                    self._good,
                    self._run._recipients,  # noqa: SLF001
                    pace,
                    expected=step.expected,
                    progress=lambda size: self._said(step, size),
                )
                described = step.describe()
                break
            except SourceError as error:
                if not (error.again and left):
                    raise
                self._run._trace(f"again:{step.name}")  # noqa: SLF001
        self._noted(step, sealed, described)

    def _noted(self, step: Step, sealed: Sealed, described: dict[str, object]) -> None:
        self._lagging |= sealed.failed
        self._parts.append(
            Part(
                name=step.name,
                kind=step.kind,
                plain_size=sealed.plain_size,
                plain_sha256=sealed.plain_sha256,
                sealed_size=sealed.sealed_size,
                sealed_sha256=sealed.sealed_sha256,
                **described,  # type: ignore[arg-type] # the fields of Part
            )
        )
        self._run._trace(f"part:{step.name}")  # noqa: SLF001

    def _said(self, step: Step, size: int) -> None:
        self._run._trace(f"bytes:{step.name}")  # noqa: SLF001
        of = f" of about {findings.sized(step.expected)}" if step.expected else ""
        self._run._progress(0, 1, f"{self._source.name}: {step.name}, {findings.sized(size)}{of}")  # noqa: SLF001

    def _manifest(self, session: Session) -> Manifest:
        facts = session.facts
        return Manifest(
            vault=self._settings.name,
            source=self._source.name,
            kind=choose.kind(self._source),  # type: ignore[arg-type] # the tags of the settings
            id=self._id,
            taken_at=self._taken_at,
            finished_at=self._run._now(),  # noqa: SLF001
            duration_s=round(time.monotonic() - self._begun, 3),
            parts=self._parts,
            recipients=list(self._settings.recipients),
            software={
                "courtkeeper": __version__,
                "python": machine.python_version(),
                "zstd": ".".join(str(number) for number in zstandard.ZSTD_VERSION),
                **facts.software,
            },
            server=facts.server,
            recovery_settings=facts.recovery_settings,
            notes=facts.notes,
        )

    def _caught_up(self) -> None:
        """Bring the destinations that failed up to the good ones, from one of those."""
        good = self._good
        for entry in [entry for entry in self._usable if entry.name in self._lagging]:
            first = self._lagging[entry.name]
            self._run._trace(f"catching-up:{entry.name}")  # noqa: SLF001
            error = tried(
                lambda entry=entry: copy_parts(self._prefix, self._parts, good[0], entry),  # type: ignore[misc] # bound now
                self._settings.pace.attempts,
            )
            if error is None:
                del self._lagging[entry.name]
                self._finding(findings.destination_caught_up(entry, first, good[0]))
            else:
                self._lagging[entry.name] = error

    def _committed(self, manifest: Manifest) -> None:
        """Write the manifest: from here on the backup exists."""
        file = manifests.write(manifest, self._run._key)  # noqa: SLF001
        manifests.read(file, "that was just written")
        written = []
        for entry in self._good:
            self._run._trace(f"manifest:{entry.name}")  # noqa: SLF001
            error = tried(
                lambda entry=entry: entry.put(self._prefix + manifests.NAME, file),  # type: ignore[misc] # bound now
                self._settings.pace.attempts,
            )
            if error is None:
                written.append(entry)
            else:
                self._lagging[entry.name] = error
            self._run._trace(f"written:{entry.name}")  # noqa: SLF001
        for entry in self._usable:
            if entry.name in self._lagging:
                text = f"the backup {self._id} of {self._source.name} is not there"
                self._finding(findings.destination_failed(entry, self._lagging[entry.name], text))
        if not written:
            raise DestinationError("no destination took the manifest, so there is no backup")

    def _removed(self) -> None:
        """Take away the parts of a backup that will not be; what cannot be is swept by a later run."""
        for entry in self._good:
            with contextlib.suppress(DestinationError):
                for part in self._parts:
                    entry.delete(self._prefix + part.name)

    def _told(self, session: Session, manifest: Manifest) -> None:
        for finding in session.facts.findings:
            self._finding(finding)
        for finding in findings.of_parts(manifest):
            self._finding(finding)
        wall = (manifest.finished_at - manifest.taken_at).total_seconds()
        if abs(wall - manifest.duration_s) > _CLOCK_S:
            self._finding(findings.clock_jumped(self._source.name, wall - manifest.duration_s))
        where = [entry.name for entry in self._good]
        self._finding(findings.done(manifest, where))
        self._run._result.actions.append(  # noqa: SLF001
            f"backed up {self._source.name} as {self._id} to {', '.join(where)}"
        )

    def _finding(self, finding: Finding) -> None:
        self._run._result.findings.append(finding)  # noqa: SLF001


@contextlib.contextmanager
def _alone(settings: VaultSettings) -> Iterator[None]:
    """Hold the vault's lock, which ends with us however we end. Raises BusyError at once if somebody has it."""
    if not settings.state_directory:
        yield
        return
    path = Path(settings.state_directory, f"{settings.name}.lock")
    with path.open("a") as stream:
        try:
            fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"another backup of the vault {settings.name} is at work (it holds {path}): wait for its end"
            ) from None
        yield


__all__ = ["BusyError", "Status", "backup"]
