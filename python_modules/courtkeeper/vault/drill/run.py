"""One run of drills: the newest backup of each source and, in turn, older ones."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pyrage import x25519

from courtkeeper import __version__
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result, Status, worst
from courtkeeper.vault import catalog, problems, proofs
from courtkeeper.vault.catalog import Backup
from courtkeeper.vault.destinations import Destination, destination
from courtkeeper.vault.drill import findings, plain, scratch
from courtkeeper.vault.drill.clone import clone
from courtkeeper.vault.drill.policy import DrillPolicy
from courtkeeper.vault.drill.work import Drilled, Opened
from courtkeeper.vault.lock import alone
from courtkeeper.vault.manifest import Part
from courtkeeper.vault.proofs import Proof, Rate
from courtkeeper.vault.restore import copies
from courtkeeper.vault.settings import SourceSettings, VaultSettings

Clock = Callable[[], datetime]
Progress = Callable[[int, int, str], None]
Trace = Callable[[str], None]

_PROGRESS_S = 0.5


def drill(
    settings: VaultSettings,
    policy: DrillPolicy,
    *,
    sources: Sequence[str] = (),
    backup_id: str = "",
    check_mode: bool = False,
    now: Clock = lambda: datetime.now(UTC),
    progress: Progress = lambda _done, _total, _text: None,
    trace: Trace = lambda _step: None,
) -> Result:
    """Restore the newest backup of each source (or of `sources`) and older ones in turn; or `backup_id`.

    A backup that cannot be restored is a critical finding and keeps no other from its turn. Nothing but
    scratch is written to; beside a backup that came out as it went in, evidence is put. Raises
    ConfigurationError, and BusyError where another drill is at work.
    """
    opening = copies.identities(settings)
    for name in sources:
        settings.source(name)
    with alone(settings, "drill"):
        trace("locked")
        run = _Run(settings, policy, opening, now, progress, trace)
        return run.planned(sources, backup_id) if check_mode else run.done(sources, backup_id)


class _Run:
    """The work of `drill`."""

    def __init__(
        self,
        settings: VaultSettings,
        policy: DrillPolicy,
        opening: list[x25519.Identity],
        now: Clock,
        progress: Progress,
        trace: Trace,
    ) -> None:
        self._settings, self._policy, self._opening = settings, policy, opening
        self._now, self._progress, self._trace = now, progress, trace
        self._places: dict[str, Destination] = {
            entry.name: destination(entry) for entry in settings.destinations
        }
        self.result = Result()

    def planned(self, sources: Sequence[str], backup_id: str) -> Result:
        """Say what would be drilled."""
        for backup, newest in self._chosen(sources, backup_id):
            what = "the newest" if newest else "an older one"
            self.result.actions.append(
                f"restore {backup.source} {backup.id} ({what}) into a scratch instance, check and destroy it"
            )
        count = len(self.result.actions)
        self.result.msg = f"would drill {count} backup{'' if count == 1 else 's'}"
        return self.result

    def done(self, sources: Sequence[str], backup_id: str) -> Result:
        """Drill."""
        begun = time.monotonic()
        for path in scratch.remove_leftovers(self._policy.scratch_directory, self._settings.name):
            self.result.actions.append(f"removed {path}, which a killed drill had left")
        self._trace("swept")
        chosen = self._chosen(sources, backup_id)
        made: list[Proof] = []
        for number, (backup, newest) in enumerate(chosen):
            self._progress(number, len(chosen), f"drilling {backup.source} {backup.id}")
            self._trace(f"backup:{backup.id}")
            proof = self._one(backup, newest=newest)
            if proof:
                made.append(proof)
        self._progress(len(chosen), len(chosen), "done")
        self._trends(made)
        self._sum_up(chosen, made, time.monotonic() - begun)
        return self.result

    def _chosen(self, sources: Sequence[str], backup_id: str) -> list[tuple[Backup, bool]]:
        seen = catalog.of(self._settings, list(self._places.values()))
        self.result.findings += [
            finding
            for finding in problems.findings(seen, leftovers_hours=48, now=self._now())
            if finding.status is Status.CRIT
        ]
        if backup_id:
            backup = seen.find(backup_id)
            if backup is None:
                raise ConfigurationError(
                    f"the vault has no backup {backup_id!r} that is whole: look at `courtkeeper vault list`"
                )
            return [(backup, seen.of(backup.source)[0].id == backup_id)]
        names = list(sources) or [source.name for source in self._settings.sources]
        names += [] if names else sorted({backup.source for backup in seen.backups})
        chosen: list[tuple[Backup, bool]] = []
        for name in names:
            there = seen.of(name)
            if not there:
                self.result.findings.append(
                    findings.failed(f"{self._settings.name}/{name}", "it has no backup that is whole.")
                )
                continue
            chosen.append((there[0], True))
            chosen += [(backup, False) for backup in in_turn(there[1:])[: self._policy.old]]
        return chosen

    def _one(self, backup: Backup, *, newest: bool) -> Proof | None:
        drilled_at, begun = self._now(), time.monotonic()
        subject = f"{backup.source}/{backup.id}"

        def attempt(place: Destination) -> tuple[Drilled, str]:
            with self._scratch() as path:
                opened = Opened(
                    backup=backup,
                    place=place,
                    identities=self._opening,
                    begun=begun,
                    progress=self._said(backup),
                    trace=self._trace,
                )
                return self._restored(opened, path), place.name

        try:
            drilled, where = copies.from_copies(backup, self._places, attempt)
        except CourtkeeperError as error:
            self.result.findings.append(findings.failed(subject, f"{error}"))
            return None
        self._trace("destroyed")
        proof = self._proof(backup, drilled, where, drilled_at, newest=newest)
        self._keep(backup, proof, drilled)
        return proof

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        with scratch.directory(self._policy.scratch_directory, self._settings.name) as path:
            self._trace("scratch:made")
            yield path
            self._trace("scratch:destroying")

    def _restored(self, opened: Opened, path: Path) -> Drilled:
        kind = opened.backup.manifest.kind
        if kind == "files":
            return plain.files(opened, path)
        if kind == "redis":
            return plain.cache(opened, path, self._policy)
        return clone(opened, path, self._source(opened.backup), self._policy)

    def _source(self, backup: Backup) -> SourceSettings | None:
        return next((each for each in self._settings.sources if each.name == backup.source), None)

    def _said(self, backup: Backup) -> Callable[[Part, int], None]:
        last = [0.0]

        def said(part: Part, size: int) -> None:
            self._trace(f"bytes:{part.name}")
            if time.monotonic() - last[0] > _PROGRESS_S:
                last[0] = time.monotonic()
                self._progress(size, part.plain_size, f"restoring {part.name} of {backup.source} {backup.id}")

        return said

    def _proof(
        self, backup: Backup, drilled: Drilled, where: str, drilled_at: datetime, *, newest: bool
    ) -> Proof:
        beats = [beat for beat in drilled.heartbeats if beat]
        newest_data = min(beats) if beats else backup.taken_at
        plain = backup.plain_size
        return Proof(
            vault=backup.vault,
            source=backup.source,
            backup=backup.id,
            taken_at=backup.taken_at,
            drilled_at=drilled_at,
            destination=where,
            host=os.uname().nodename,
            newest=newest,
            passed=all(check.passed is not False for check in drilled.checks),
            plain_bytes=plain,
            restore_s=round(drilled.restore_s, 3),
            rate_bytes_s=round(plain / drilled.restore_s) if drilled.restore_s else 0,
            rto_s=round(drilled.rto_s, 3) if drilled.rto_s is not None else None,
            rpo_s=round((drilled_at - newest_data).total_seconds(), 3) if newest else None,
            rpo_from=("heartbeat" if beats else "manifest") if newest else None,
            checks=drilled.checks,
            software={"courtkeeper": __version__, **drilled.software},
        )

    def _keep(self, backup: Backup, proof: Proof, drilled: Drilled) -> None:
        """Put the evidence where it counts, and remember the drill."""
        subject = f"{backup.source}/{backup.id}"
        if proof.passed:
            self._trace("evidence")
            where, failures = proofs.store(backup, proof, self._places.values())
            self._trace("proven")
            for sentence in failures:
                self.result.findings.append(findings.unwritten(subject, sentence))
            if where:
                self.result.actions.append(
                    f"proved {backup.source} {backup.id}: evidence on {', '.join(where)}"
                )
        self.result.findings += findings.of_proof(proof, self._policy)
        for beat in drilled.heartbeats:
            if beat and (finding := findings.stale(subject, beat, backup.taken_at)):
                self.result.findings.append(finding)
        proofs.remember(self._settings, "drills", proof)
        if proof.restore_s:
            rate = Rate(
                at=proof.drilled_at,
                kind=backup.manifest.kind,
                plain_bytes=proof.plain_bytes,
                seconds=proof.restore_s,
            )
            proofs.remember(self._settings, "rates", rate)

    def _trends(self, made: Sequence[Proof]) -> None:
        past = proofs.history(self._settings, "drills", Proof) if made else []
        for name in dict.fromkeys(proof.source for proof in made):
            self.result.findings += findings.of_trend(name, past, self._policy, self._now())

    def _sum_up(self, chosen: Sequence[object], made: Sequence[Proof], took_s: float) -> None:
        passed = [proof for proof in made if proof.passed]
        result = self.result
        result.changed = bool(result.actions)
        result.metrics = {
            "duration_s": round(took_s, 3),
            "drilled_count": len(chosen),
            "proven_count": len(passed),
        }
        newest = [proof for proof in passed if proof.newest]
        for name in ("rto_s", "rpo_s"):
            values = [value for proof in newest if (value := getattr(proof, name)) is not None]
            if values:
                result.metrics[name] = max(values)
        rates = [proof.rate_bytes_s for proof in newest if proof.rate_bytes_s]
        if rates:
            result.metrics["restore_rate_bytes_s"] = min(rates)
        result.details["drills"] = [proofs.plain(proof) for proof in made]
        result.msg = f"{len(passed)} of {len(chosen)} backups proven in {took_s:.1f} s"
        if not chosen:
            result.msg = "there was nothing to drill"
        elif worst(result.findings) is Status.CRIT and len(passed) == len(chosen):
            result.msg += ", and something is critical"


def in_turn(backups: Sequence[Backup]) -> list[Backup]:
    """Return older backups in the order of their turn: never proven, then the one proven longest ago.

    Among those never proven the oldest comes first: it is the next that retention takes.
    """
    first = datetime.min.replace(tzinfo=UTC)
    return sorted(backups, key=lambda backup: (backup.proven_at or first, backup.taken_at, backup.id))
