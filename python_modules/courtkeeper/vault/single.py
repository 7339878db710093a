"""One backup of one source.

The order that makes a killed run harmless: parts first (invisible until whole), then, when all of them are
good, the manifest on each destination that has all of them. A run that ends anywhere before leaves objects
without a manifest, which nobody takes for a backup. Nothing here removes a backup.
"""

from __future__ import annotations

import contextlib
import platform as machine
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import zstandard

from courtkeeper import __version__
from courtkeeper.vault import findings, taken
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.context import Context
from courtkeeper.vault.copying import copy_parts, tried
from courtkeeper.vault.destinations import Destination, DestinationError
from courtkeeper.vault.manifest import Manifest, Part
from courtkeeper.vault.pipe import Sealed, seal
from courtkeeper.vault.settings import SourceSettings
from courtkeeper.vault.sources import choose
from courtkeeper.vault.sources.base import Facts, SourceError, Step

# A wall clock that moves so much more or less than the monotonic one was set meanwhile.
_CLOCK_S = 60.0


def take(context: Context, source: SourceSettings) -> Manifest:
    """Back up one source, and add to the run's findings and actions what there is to say.

    Raises CourtkeeperError where there is no new backup of it; what was stored of it is removed then.
    """
    return _Single(context, source).taken()


class _Single:
    """The work of `take`. `_lagging`: destinations that do not have all the parts, and why."""

    def __init__(self, context: Context, source: SourceSettings) -> None:
        self._context, self._source = context, source
        self._settings = context.settings
        self._lagging: dict[str, DestinationError] = dict(context.unusable)
        self._late: dict[str, DestinationError] = {}
        self._parts: list[Part] = []
        self._taken_at = context.now()
        self._begun = time.monotonic()
        self._id = manifests.new_id(self._taken_at)
        self._prefix = manifests.prefix_of(self._settings.name, source.name, self._id)

    def taken(self) -> Manifest:
        try:
            with choose.source(self._source).open() as session:
                for step in session.steps():
                    self._store(step)
            manifest = self._manifest(session.facts)
            self._catch_up()
        except BaseException as error:
            if isinstance(error, DestinationError):  # none of them took it
                self._context.failed |= {entry.name for entry in self._good}
            self._remove()
            raise
        self._commit(manifest)
        self._tell(session.facts, manifest)
        return manifest

    @property
    def _good(self) -> list[Destination]:
        return [entry for entry in self._context.destinations if entry.name not in self._lagging]

    def _store(self, step: Step) -> None:
        for left in reversed(range(self._settings.pace.attempts)):
            try:
                sealed = seal(
                    step.produce,
                    self._prefix + step.name,
                    self._good,
                    self._context.recipients,
                    self._settings.pace,
                    expected=step.expected,
                    progress=partial(self._say, step),
                )
                described = step.describe()
            except SourceError as error:
                if not (error.again and left):
                    raise
                self._context.trace(f"again:{step.name}")
            else:
                self._note(step, sealed, described)
                return

    def _note(self, step: Step, sealed: Sealed, described: dict[str, Any]) -> None:
        self._lagging |= sealed.failed
        self._parts.append(
            Part(
                name=step.name,
                kind=step.kind,
                plain_size=sealed.plain_size,
                plain_sha256=sealed.plain_sha256,
                sealed_size=sealed.sealed_size,
                sealed_sha256=sealed.sealed_sha256,
                **described,
            )
        )
        self._context.trace(f"part:{step.name}")

    def _say(self, step: Step, size: int) -> None:
        self._context.trace(f"bytes:{step.name}")
        of = f" of about {findings.sized(step.expected)}" if step.expected else ""
        text = f"{self._source.name}: {step.name}, {findings.sized(size)}{of}"
        self._context.progress(size, max(step.expected, size), text)

    def _manifest(self, facts: Facts) -> Manifest:
        if not self._parts:
            raise SourceError(f"{self._source.name} has nothing to back up")
        return Manifest(
            vault=self._settings.name,
            source=self._source.name,
            kind=choose.kind(self._source),
            id=self._id,
            taken_at=self._taken_at,
            finished_at=self._context.now(),
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

    def _catch_up(self) -> None:
        """Bring the destinations that failed up to a good one, from its copy."""
        first = self._good[0]
        for entry in self._context.destinations:
            if entry.name in self._lagging:
                self._context.trace(f"catching-up:{entry.name}")
                error = self._try(partial(self._copy, first, entry))
                if error is None:
                    self._late[entry.name] = self._lagging.pop(entry.name)
                else:
                    self._lagging[entry.name] = error

    def _copy(self, source: Destination, target: Destination) -> None:
        target.prepare()
        copy_parts(self._prefix, self._parts, source, target)

    def _commit(self, manifest: Manifest) -> None:
        """Write the manifest: from here on the backup exists."""
        file = manifests.write(manifest, self._context.key)
        manifests.read(file, "that was just written")
        taken.note(self._settings, self._prefix, file)
        for entry in self._good:
            self._context.trace(f"manifest:{entry.name}")
            error = self._try(partial(entry.put, self._prefix + manifests.NAME, file))
            if error is not None:
                self._lagging[entry.name] = error
            self._context.trace(f"written:{entry.name}")
        self._context.failed |= set(self._lagging)
        text = f"the backup {self._id} of {self._source.name} is not there"
        for entry in self._context.destinations:
            if entry.name in self._lagging:
                failed = findings.destination_failed(
                    entry, self._source.name, self._lagging[entry.name], text
                )
                self._context.result.findings.append(failed)
        if not self._good:
            raise DestinationError("no destination took the manifest, so there is no backup")

    def _try(self, work: Callable[[], None]) -> DestinationError | None:
        return tried(work, self._settings.pace.attempts)

    def _remove(self) -> None:
        """Take away the parts of a backup that will not be. They have no manifest: they are none."""
        for entry in self._good:
            with contextlib.suppress(DestinationError):
                for part in self._parts:
                    entry.delete(self._prefix + part.name)

    def _tell(self, facts: Facts, manifest: Manifest) -> None:
        where = [entry.name for entry in self._good]
        told = [*facts.findings, *findings.of_parts(manifest)]
        told += [
            findings.destination_late(entry, self._source.name, self._late[entry.name])
            for entry in self._good
            if entry.name in self._late
        ]
        jump_s = (manifest.finished_at - manifest.taken_at).total_seconds() - manifest.duration_s
        if abs(jump_s) > _CLOCK_S:
            told.append(findings.clock_jumped(self._source.name, jump_s))
        told.append(findings.done(manifest, where))
        self._context.result.findings.extend(told)
        self._context.result.actions.append(
            f"backed up {self._source.name} as {self._id} to {', '.join(where)}"
        )
