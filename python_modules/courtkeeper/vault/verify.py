"""The cheap daily look: is there a young backup of everything, everywhere, and is it what was written?

Not a drill: nothing is restored. The newest backup of each source is read from each destination, whole as
far as the policy's bytes go and in part beyond them; older ones take their turn. With an identity at hand
archives are opened and listed, too; without one only sealed hashes are compared, and the finding says so.
Nothing is changed but one thing: a copy that was read twice and is not what its manifest says gets
`damaged.json` put beside it, so that nobody counts on it. Who asks for that backup by its id has it read
again, and the mark taken away where it is good.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from pyrage import x25519

from courtkeeper.findings import ConfigurationError, Finding, Result, Status, worst
from courtkeeper.vault import catalog, freshness, keys, places, problems, reading, trend
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.catalog import Backup, Catalog
from courtkeeper.vault.check import of_places
from courtkeeper.vault.destinations import Destination, DestinationError, destination
from courtkeeper.vault.destinations.base import content
from courtkeeper.vault.findings import sized
from courtkeeper.vault.manifest import ManifestError
from courtkeeper.vault.policy import VaultPolicy
from courtkeeper.vault.reading import Reading
from courtkeeper.vault.restore import replica
from courtkeeper.vault.settings import PostgresSource, VaultSettings
from courtkeeper.vault.turns import Turns

_MOST_AT_ONCE = 4
Progress = Callable[[int, int, str], None]


class Looked(msgspec.Struct, kw_only=True):
    """What one destination gave: findings, what was marked, the bytes read, the copies read whole."""

    findings: list[Finding] = msgspec.field(default_factory=list)
    actions: list[str] = msgspec.field(default_factory=list)
    size: int = 0
    whole: list[str] = msgspec.field(default_factory=list)


def verify(
    settings: VaultSettings,
    policy: VaultPolicy,
    *,
    now: datetime,
    check: bool = False,
    backup_id: str = "",
    progress: Progress = lambda _done, _total, _text: None,
) -> Result:
    """Look at every destination of a vault; with `backup_id` read that one backup whole, wherever it is.

    With `check` nothing is marked. What a destination or an identity file does wrong is a finding, and hides
    nothing else.
    """
    begun = time.monotonic()
    destinations = [destination(entry) for entry in settings.destinations]
    identities, findings = _identities(settings)
    seen = catalog.of(settings, destinations)
    findings += list(problems.findings(seen, leftovers_hours=policy.leftovers_hours, now=now))
    findings += replica.findings(settings)
    findings += of_places(settings, policy, seen, destinations)
    declared = [source.name for source in settings.sources]
    findings += freshness.findings(settings.name, declared, seen, policy.verify, now)
    for source in declared:
        past = [each for each in seen.of(source) if each.taken_at <= now]
        findings += trend.findings(settings.name, source, past, policy.verify)
    turns = Turns(settings.state_directory, settings.name)
    reached = [each for each in destinations if each.name in seen.reached]
    run = _Run(settings, policy, seen, turns, identities, now, check=check)
    with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
        looked = list(pool.map(lambda each: run.look(each, backup_id), reached))
    for name, each in zip((entry.name for entry in reached), looked, strict=True):
        progress(len(reached), len(reached), f"{name}: {sized(each.size)} read")
        for prefix in each.whole:
            turns.note(name, prefix, now)
    if not check:
        turns.save(
            seen.reached,
            {name: [one.prefix for one in seen.backups if name in one.where] for name in seen.reached},
        )
    findings += [finding for each in looked for finding in each.findings]
    actions = [action for each in looked for action in each.actions]
    return Result(
        changed=bool(actions),
        findings=findings,
        actions=actions,
        metrics={
            "duration_s": round(time.monotonic() - begun, 3),
            "read_bytes": sum(each.size for each in looked),
            "copies_read_whole": sum(len(each.whole) for each in looked),
            "destinations_failed": len(destinations) - len(reached),
        },
        msg=_sentence(findings, looked, len(reached), len(destinations)),
    )


def _identities(settings: VaultSettings) -> tuple[list[x25519.Identity], list[Finding]]:
    """Return the identities at hand; a file that cannot be used is a finding."""
    if not settings.identity_file:
        return [], []
    try:
        return keys.identities(settings.identity_file), []
    except ConfigurationError as error:
        finding = Finding(
            id="vault.identity",
            subject=settings.identity_file,
            status=Status.CRIT if Path(settings.identity_file).exists() else Status.WARN,
            summary=f"No archive is opened: {error}",
            fix="mend the file, or take it out of the settings where it is kept elsewhere on purpose",
        )
        return [], [finding]


class _Run:
    """What looking at every destination shares: read by several threads, and written by none."""

    def __init__(
        self,
        settings: VaultSettings,
        policy: VaultPolicy,
        seen: Catalog,
        turns: Turns,
        identities: Sequence[x25519.Identity],
        now: datetime,
        *,
        check: bool,
    ) -> None:
        self._settings, self._policy, self._seen, self._turns = settings, policy, seen, turns
        self._identities = identities if policy.verify.list_archives else []
        self._now, self._check = now, check

    def look(self, destination: Destination, backup_id: str) -> Looked:
        """Read what is due on one destination. Its first failure ends its turn, and no other's."""
        looked = Looked()
        left = float("inf") if backup_id else self._policy.verify.read_mb * 1e6
        try:
            for backup in self._due(destination.name, backup_id):
                if backup.sealed_size <= left:
                    left -= backup.sealed_size
                    self._whole(destination, backup, looked)
                else:
                    chance = random.Random(f"{backup.id} {self._now:%Y%m%d}")  # noqa: S311 - which blocks
                    found = reading.in_part(destination, backup.manifest, chance)
                    self._judged(destination, backup, found, looked)
            if backup_id:
                self._again(destination, backup_id, looked)
        except (DestinationError, ManifestError) as error:
            looked.findings.append(
                Finding(
                    id="vault.destination",
                    subject=destination.name,
                    status=Status.CRIT,
                    summary=f"It failed while it was read: {error}",
                    fix="mend the destination; the others were looked at",
                )
            )
        return looked

    def _due(self, name: str, backup_id: str) -> list[Backup]:
        """Return the newest backup of each source that this destination has, then those whose turn it is."""
        there = [backup for backup in self._seen.backups if name in backup.where]
        if backup_id:
            return [backup for backup in there if backup.id == backup_id]
        sources = sorted({backup.source for backup in there})
        newest = [freshness.newest(self._seen, source, self._now, name) for source in sources]
        due = [backup for backup in newest if backup]
        for source in sources:
            older = [backup for backup in there if backup.source == source and backup not in due]
            due += self._in_turn(name, older)[: self._policy.verify.older]
        return due

    def _in_turn(self, name: str, older: list[Backup]) -> list[Backup]:
        """Order older ones: never read first, then the one read longest ago; without notes by the day."""
        first = self._now.toordinal() % max(len(older), 1)
        by_day = older[first:] + older[:first]
        never = datetime.min.replace(tzinfo=UTC)
        return sorted(by_day, key=lambda backup: self._turns.last(name, backup.prefix) or never)

    def _again(self, destination: Destination, backup_id: str, looked: Looked) -> None:
        """Read a copy that was marked once more, and take the mark away where it is good now."""
        for problem in self._seen.problems:
            if problem.kind != "damaged" or problem.destination != destination.name:
                continue
            if problem.prefix.split("/")[2] != backup_id:
                continue
            where = f"{problem.prefix}{manifests.NAME} on {destination.name}"
            file = content(destination, problem.prefix + manifests.NAME, manifests.MAX_BYTES)
            manifest = manifests.read(file, where, self._settings.signers)
            found = reading.whole(destination, manifest, self._identities)
            looked.size += found.size
            if not found.damaged:
                if not self._check:
                    destination.delete(problem.prefix + catalog.DAMAGED)
                looked.actions.append(f"take the mark of damage from {problem.prefix} on {destination.name}")

    def _whole(self, destination: Destination, backup: Backup, looked: Looked) -> None:
        found = reading.whole(
            destination, backup.manifest, self._identities, bin_directory=self._bin_directory(backup)
        )
        self._judged(destination, backup, found, looked)
        if found.damaged:
            self._mark(destination, backup, found.damaged, looked)
        else:
            looked.whole.append(backup.prefix)

    def _bin_directory(self, backup: Backup) -> str:
        """Return where pg_restore is, by the settings of the backup's source."""
        for source in self._settings.sources:
            if source.name == backup.source and isinstance(source, PostgresSource):
                return source.bin_directory
        return ""

    def _judged(self, destination: Destination, backup: Backup, found: Reading, looked: Looked) -> None:
        looked.size += found.size
        subject = f"{backup.prefix.rstrip('/')} on {destination.name}"
        age = places.age(backup.taken_at, self._now)
        if found.damaged:
            looked.findings.append(
                Finding(
                    id="vault.read",
                    subject=subject,
                    status=Status.CRIT,
                    summary=f"It is damaged: {found.damaged}",
                    fix=self._elsewhere(backup, destination.name),
                )
            )
            return
        looked.findings.append(
            Finding(
                id="vault.read",
                subject=subject,
                status=Status.OK,
                observed=found.size,
                unit="bytes",
                summary=f"{age} old, {_how(found, backup)}",
            )
        )
        looked.findings += _of_archive(subject, found, bool(self._identities))

    def _elsewhere(self, backup: Backup, name: str) -> str:
        others = [each for each in backup.where if each != name]
        there = (
            f"restore from {', '.join(others)} instead"
            if others
            else "take a backup now: this was the only copy"
        )
        return f"{there}; look at the disk or the store of {name}"

    def _mark(self, destination: Destination, backup: Backup, why: str, looked: Looked) -> None:
        if not self._check:
            note = msgspec.json.encode({"found_at": self._now.isoformat(), "why": why})
            destination.put(backup.prefix + catalog.DAMAGED, note)
        looked.actions.append(f"mark {backup.prefix.rstrip('/')} on {destination.name} as damaged")


def _how(found: Reading, backup: Backup) -> str:
    count = len(backup.manifest.parts)
    parts = f"{count} part{'' if count == 1 else 's'}"
    if not found.whole:
        return f"read in part ({sized(found.size)} of {sized(backup.sealed_size)}), no hash compared."
    if found.opened:
        return (
            f"read whole ({sized(found.size)}), all hashes of {parts} right, {found.entries} entries listed."
        )
    return f"read whole ({sized(found.size)}), sealed hashes of {parts} right; not opened."


def _of_archive(subject: str, found: Reading, tried: bool) -> list[Finding]:
    """Say what was wrong with archives whose bytes are as they were written, and what was not looked into."""

    def finding(status: Status, summary: str, fix: str) -> Finding:
        return Finding(id="vault.archive", subject=subject, status=status, summary=summary, fix=fix)

    if found.wrong_key:
        return [
            finding(
                Status.CRIT,
                f"The identity at hand does not open it: {found.wrong_key}",
                "find the identity of one of its recipients before it is needed",
            )
        ]
    if found.wrong:
        return [
            finding(
                Status.CRIT,
                f"It was stored as it was read, and is no whole archive: {'; '.join(found.wrong)}.",
                "take a new backup, and look at the server's log of that time",
            )
        ]
    if found.unlisted:
        text = f"It was not listed: {'; '.join(found.unlisted)}."
        return [finding(Status.SKIPPED, text, "mend what it names, and look again")]
    if found.whole and not tried:
        return [
            finding(
                Status.SKIPPED,
                "No identity is at hand, so its archives were not listed; the drill does it.",
                "",
            )
        ]
    return []


def _sentence(findings: Sequence[Finding], looked: Sequence[Looked], reached: int, declared: int) -> str:
    read = sized(sum(each.size for each in looked))
    states = {Status.CRIT: "something is wrong", Status.WARN: "something should be looked at"}
    state = states.get(worst(findings), "all well")
    return f"{reached} of {declared} destinations looked at, {read} read: {state}."
