"""What a destination missed is copied from one that has it: sealed bytes as they are, the manifest last.

A destination should have what retention would keep there if it had everything; nothing is copied that the
next pruning would remove. Holds and proofs go with it. A copy that is damaged or not whole is mended the same
way, and one whose manifest is refused is left to a person. Killed anywhere, there are parts without a
manifest, which the next run reads, and goes on from.

Only what this host took itself (`taken`), or what one of `signers` signed, is copied. Else who can write to
one destination could invent backups until retention let go of the true ones everywhere.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Literal

import msgspec

from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.vault import catalog, retention, taken
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.catalog import Backup, Catalog, Kind
from courtkeeper.vault.context import Context
from courtkeeper.vault.copying import copy_backup, tried
from courtkeeper.vault.destinations import Destination, DestinationError
from courtkeeper.vault.destinations.base import content
from courtkeeper.vault.destinations.directory import DirectoryDestination
from courtkeeper.vault.findings import sized
from courtkeeper.vault.manifest import ManifestError
from courtkeeper.vault.policy import policy_from
from courtkeeper.vault.prune import candidate
from courtkeeper.vault.retention import Policy
from courtkeeper.vault.settings import VaultSettings

# What speaks against one backup, or its copies, and not against the destination that should get it.
_OF_THE_BACKUP = {"damaged", "missing"}
_WHY = {"missing": "which it misses", "parts": "not whole there", "damaged": "damaged there"}

Why = Literal["missing", "parts", "damaged"]
# By what the catalog found there; a manifest that is refused is no reason to write anything.
_REASONS: dict[Kind | None, Why] = {
    None: "missing",
    "incomplete": "missing",
    "parts": "parts",
    "damaged": "damaged",
}


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that a destination should have, and has not, or not whole."""

    destination: str
    backup: Backup
    why: Why

    def sentence(self) -> str:
        """Say what is done, for `actions`."""
        what = f"{self.backup.prefix} from {self.backup.where[0]} to {self.destination}"
        return f"copy {what} ({sized(self.backup.sealed_size)}, {_WHY[self.why]})"


def gaps(seen: Catalog, policy: Policy, *, now: datetime, sources: Sequence[str] = ()) -> list[Gap]:
    """Return what each destination that was reached should have and has not, the newest first."""
    wrong = {(each.destination, each.prefix): each.kind for each in seen.problems}
    found = []
    for source in sources or sorted({backup.source for backup in seen.backups}):
        every = seen.of(source)
        stays = retention.plan([candidate(each) for each in every], policy, now=now).reasons()
        for backup in every:
            for name in seen.reached:
                why = _REASONS.get(wrong.get((name, backup.prefix)))
                if why and name not in backup.where and backup.id in stays:
                    found.append(Gap(destination=name, backup=backup, why=why))
    return sorted(found, key=lambda gap: (gap.backup.taken_at, gap.backup.id), reverse=True)


def planned(context: Context, sources: Sequence[str]) -> list[str]:
    """Say what would be copied, for check mode; what cannot be looked at is left to the run itself."""
    return [gap.sentence() for gap in _Refill(context, sources).due()]


def refill(context: Context, sources: Sequence[str], avoid: Sequence[str]) -> None:
    """Copy what destinations missed, but to none in `avoid`, which failed just now.

    What was done, and what failed, is added to the run's result; no failure keeps another from its turn.
    """
    _Refill(context, sources).done(avoid)


class _Refill:
    """One run. `_spare`: what the next backups will need on each disk; it is not filled up with old ones."""

    def __init__(self, context: Context, sources: Sequence[str]) -> None:
        self._context, self._sources = context, sources
        self._settings: VaultSettings = context.settings
        self._notes = taken.known(context.settings)
        self._places = {entry.name: entry for entry in context.destinations}
        self._spare = 0
        self._deadline = time.monotonic() + context.settings.pace.refill_minutes * 60

    def due(self) -> list[Gap]:
        """Return the gaps that may be filled. What may not be copied is a finding."""
        unusable = self._context.unusable
        reachable = [entry for entry in self._context.destinations if entry.name not in unusable]
        if len(reachable) < 2 or not self._settings.pace.refill_minutes or not self._differ(reachable):
            return []
        try:
            policy = policy_from(self._settings.policy).retention
        except ConfigurationError as error:
            text = f"Nothing is copied to destinations that missed it: {error}"
            self._say("", Status.WARN, text, "mend the policy")
            return []
        seen = catalog.of(self._settings, reachable)
        newest = {backup.source: backup for backup in reversed(seen.backups)}
        self._spare = sum(backup.sealed_size for backup in newest.values())
        found = gaps(seen, policy, now=self._context.now(), sources=self._sources)
        return self._trusted(found)

    def _differ(self, reachable: Sequence[Destination]) -> bool:
        outlines = []
        for entry in reachable:
            try:
                outlines.append(catalog.outline(self._settings.name, entry))
            except DestinationError:
                continue  # it has had its finding, or gets it when it is to be written to
        return any(outline != outlines[0] for outline in outlines[1:])

    def _trusted(self, found: Sequence[Gap]) -> list[Gap]:
        if self._settings.signers:
            return list(found)
        ours = [gap for gap in found if gap.backup.prefix in self._notes]
        declared = {source.name for source in self._settings.sources}
        others = [gap for gap in found if gap not in ours and gap.backup.source in declared]
        for name in sorted({gap.destination for gap in others}):
            count = sum(gap.destination == name for gap in others)
            self._say(
                name,
                Status.SKIPPED,
                f"It misses {_counted(count)} that are not signed and were not taken by this host: they are "
                "not copied.",
                "sign backups (signing_key_file, signers), or copy their directories by hand",
            )
        return ours

    def done(self, avoid: Sequence[str]) -> None:
        """Fill them."""
        due = [gap for gap in self.due() if gap.destination not in avoid]
        for name in dict.fromkeys(gap.destination for gap in due):
            self._fill(self._places[name], [gap for gap in due if gap.destination == name])

    def _fill(self, target: Destination, due: Sequence[Gap]) -> None:
        copied: list[Gap] = []
        for number, gap in enumerate(due):
            left = _counted(len(due) - number)
            if time.monotonic() > self._deadline:
                text = f"{left} that it missed wait for the next backup: the time for copying is over."
                self._say(target.name, Status.WARN, text, "wait, or give pace.refill_minutes more")
                break
            if not self._fits(target, gap):
                text = f"{left} that it missed do not fit beside the next backup."
                self._say(target.name, Status.WARN, text, "make room, or let old backups go")
                break
            self._context.progress(number, len(due), gap.sentence())
            self._context.trace(f"refill:{target.name}")
            error = self._copied(target, gap)
            if error is None:
                copied.append(gap)
                self._context.trace(f"refilled:{target.name}")
                continue
            text = f"{gap.backup.prefix} could not be copied there: {error}"
            fix = "mend what the sentence names; the next backup tries again"
            self._say(target.name, Status.CRIT, text, fix)
            if error.why not in _OF_THE_BACKUP:
                break
        self._sum_up(target.name, copied)

    def _fits(self, target: Destination, gap: Gap) -> bool:
        if not isinstance(target, DirectoryDestination):
            return True
        try:
            free = shutil.disk_usage(target.where).free
        except OSError:
            return True  # then the copying says what is wrong
        return free >= gap.backup.sealed_size + self._spare

    def _copied(self, target: Destination, gap: Gap) -> DestinationError | None:
        """Copy from one good copy after the other; return why none could be, None if done."""
        error: DestinationError | None = None
        for name in gap.backup.where:
            error = tried(partial(self._copy, self._places[name], target, gap), self._settings.pace.attempts)
            if error is None:
                return None
        return error

    def _copy(self, source: Destination, target: Destination, gap: Gap) -> None:
        where = f"{gap.backup.prefix}{manifests.NAME} on {source.name}"
        file = content(source, gap.backup.prefix + manifests.NAME, manifests.MAX_BYTES)
        try:
            manifest = manifests.read(file, where, self._settings.signers)
        except ManifestError as error:
            raise DestinationError(str(error), "damaged") from error
        ours = taken.is_ours(self._notes, gap.backup.prefix, file)
        if manifest != gap.backup.manifest or not (ours or self._settings.signers):
            raise DestinationError(f"the manifest {where} is not the one that this host wrote", "damaged")
        for key in catalog.beside(gap.backup.prefix, source):
            target.put(key, content(source, key, manifests.MAX_BYTES))
        copy_backup(manifest, file, source, target)
        if gap.why == "damaged":
            target.delete(gap.backup.prefix + catalog.DAMAGED)

    def _sum_up(self, name: str, copied: Sequence[Gap]) -> None:
        result = self._context.result
        result.changed = result.changed or bool(copied)
        result.actions += [gap.sentence() for gap in copied]
        if copied:
            size = sum(gap.backup.sealed_size for gap in copied)
            result.metrics["refilled_count"] = result.metrics.get("refilled_count", 0) + len(copied)
            text = f"It got {_counted(len(copied))} that it had missed ({sized(size)})."
            self._say(name, Status.OK, text, "")

    def _say(self, subject: str, status: Status, summary: str, fix: str) -> None:
        self._context.result.findings.append(
            Finding(
                id="vault.refill",
                subject=f"{self._settings.name} on {subject}" if subject else self._settings.name,
                status=status,
                summary=summary,
                fix=fix,
            )
        )


def _counted(number: int) -> str:
    return f"{number} backup" if number == 1 else f"{number} backups"
