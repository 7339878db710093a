"""Carry out on every destination what retention decided, and clear away what killed runs left.

Every destination is planned by what it has itself: one that missed weeks of backups keeps its old ones, as
they are the newest it has. One that fails is named and stops only its own removals.

A backup is removed manifest first. From then on it is no backup to anybody, so a kill in between leaves parts
without a manifest, which never look good and which the next run removes. The other order would leave, after a
kill, a manifest whose parts are gone. What cannot be read (a manifest that is refused, or of a later version)
is never removed: it is in doubt, and a person decides.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from courtkeeper.findings import Finding, Result, Status
from courtkeeper.vault import catalog, places, problems, retention, retention_findings, taken
from courtkeeper.vault import manifest as manifests
from courtkeeper.vault.catalog import Backup, Catalog, Problem
from courtkeeper.vault.destinations import Destination, DestinationError, destination
from courtkeeper.vault.findings import sized
from courtkeeper.vault.lock import alone
from courtkeeper.vault.policy import VaultPolicy
from courtkeeper.vault.retention import Candidate, Plan
from courtkeeper.vault.settings import VaultSettings

Trace = Callable[[str], object]


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """One backup, or what is left of one, that goes from one destination; `why` ends its sentence."""

    destination: str
    prefix: str
    size: int
    why: str

    def sentence(self) -> str:
        """Say what is done, for `actions`."""
        return f"remove {self.prefix} from {self.destination} ({sized(self.size)}, {self.why})"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one source's backups on one destination. `guard` is the newest good one that stays."""

    destination: str
    source: str
    plan: Plan
    guard: str
    removals: tuple[Removal, ...]


def prune_vault(
    settings: VaultSettings,
    policy: VaultPolicy,
    *,
    now: datetime,
    check: bool = False,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _text: None,
) -> Result:
    """Prune the vault of some settings. Raises BusyError where a backup or another prune is at work."""
    destinations = [destination(entry) for entry in settings.destinations]
    with contextlib.nullcontext() if check else alone(settings):
        return prune(
            settings.name,
            destinations,
            policy,
            now=now,
            signers=settings.signers,
            notes=taken.known(settings),
            check=check,
            progress=progress,
        )


def prune(
    vault: str,
    destinations: Sequence[Destination],
    policy: VaultPolicy,
    *,
    now: datetime,
    signers: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    check: bool = False,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _text: None,
    trace: Trace = lambda _step: None,
) -> Result:
    """Remove what no policy keeps; with `check` only say what would go. `trace` is told each step first."""
    begun = time.monotonic()
    seen = catalog.load(vault, destinations, signers=signers, notes=notes)
    planned = plans(seen, policy, now=now)
    findings = [finding for place in planned for finding in _remarks(vault, place)]
    findings += problems.unreachable(seen)
    by_name = {destination.name: destination for destination in destinations}
    leftovers = {name: _leftovers(seen, by_name[name], policy, now) for name in seen.reached}
    done: list[Removal] = []
    actions: list[str] = []
    total = sum(len(place.removals) for place in planned) + sum(map(len, leftovers.values()))
    for name in seen.reached:
        mine = [place for place in planned if place.destination == name]
        if check:
            removed = [each for place in mine for each in place.removals] + leftovers[name]
            findings.append(_summary(vault, name, mine, removed, check=True))
        else:
            progress(len(done), total, f"pruning {name}")
            removed, swept, trouble = _carry_out(by_name[name], vault, mine, leftovers[name], policy, trace)
            findings += trouble
            if not any(each.status is Status.CRIT for each in trouble):
                findings.append(_summary(vault, name, mine, removed, check=False))
            actions += [f"remove the unfinished upload {each} from {name}" for each in swept]
        done += removed
        actions += [each.sentence() for each in removed]
    return Result(
        changed=bool(actions),
        findings=findings,
        actions=actions,
        metrics={
            "backups_removed": len(done),
            "bytes_removed": sum(each.size for each in done),
            "backups_kept": sum(len(place.plan.keep) for place in planned),
            "destinations_failed": len(destinations) - len(seen.reached),
            "duration_s": round(time.monotonic() - begun, 3),
        },
        details={"retention": [_detail(place) for place in planned]},
        msg=_sentence(done, len(seen.reached), len(destinations), check=check),
    )


def plans(seen: Catalog, policy: VaultPolicy, *, now: datetime) -> list[Place]:
    """Plan every source on every destination that was reached."""
    found = []
    for name in seen.reached:
        broken = [each for each in seen.problems if each.destination == name and each.kind in _BROKEN]
        sources = {each.source for each in seen.backups if name in each.where}
        sources |= {each.prefix.split("/")[1] for each in broken}
        for source in sorted(sources):
            good = [each for each in seen.of(source) if name in each.where]
            bad = [each for each in broken if each.prefix.split("/")[1] == source]
            found.append(_place(name, source, good, bad, policy, now))
    return found


# What a problem of the catalog is to the planner: a backup that is no good. A refused manifest is not among
# them: what it says cannot be believed, so neither is it kept for its date nor removed for it.
_BROKEN = {"parts", "damaged"}


def _place(
    name: str, source: str, good: Sequence[Backup], bad: Sequence[Problem], policy: VaultPolicy, now: datetime
) -> Place:
    candidates = [candidate(each) for each in good] + [_broken_candidate(each) for each in bad]
    made = retention.plan(candidates, policy.retention, now=now)
    stays = made.reasons()
    sizes = {each.id: _size_on(each, name) for each in good}
    prefixes = {each.id: each.prefix for each in good} | {_id(each.prefix): each.prefix for each in bad}
    return Place(
        destination=name,
        source=source,
        plan=made,
        guard=next((each.prefix for each in good if each.id in stays), ""),
        removals=tuple(
            Removal(
                destination=name,
                prefix=prefixes[each],
                size=sizes.get(each, 0),
                why="past retention" if each in sizes else "broken, and replaced",
            )
            for each in made.remove
        ),
    )


def candidate(backup: Backup) -> Candidate:
    """Return a backup as the planner sees it."""
    # The first to arrive anywhere: a copy that was made later says nothing about the clock.
    arrived = [each.stored_at for each in backup.copies if each.stored_at is not None]
    return Candidate(
        id=backup.id,
        taken_at=backup.taken_at,
        stored_at=min(arrived, default=None),
        proven_at=backup.proven_at,
        held=backup.held,
    )


def _broken_candidate(problem: Problem) -> Candidate:
    taken_at = _taken_at(problem)
    return Candidate(
        id=_id(problem.prefix),
        taken_at=taken_at or datetime.now(UTC),
        good=False,
        proven_at=problem.proven_at,
        held=problem.held or taken_at is None,
    )


def _taken_at(problem: Problem) -> datetime | None:
    """Return the moment in the id; None where it is no moment (20260299T…), and so in doubt."""
    try:
        return manifests.time_of(_id(problem.prefix))
    except ValueError:
        return None


def _id(prefix: str) -> str:
    return prefix.rstrip("/").rpartition("/")[2]


def _size_on(backup: Backup, destination: str) -> int:
    return sum(copy.size for copy in backup.copies if copy.destination == destination)


def _leftovers(seen: Catalog, destination: Destination, policy: VaultPolicy, now: datetime) -> list[Removal]:
    """Return what has no manifest and is no run at work.

    Its last change has to lie `leftovers_hours` before now and before a later whole backup of that source
    arrived: a clock that jumps on one side alone removes nothing.
    """
    grace = timedelta(hours=policy.leftovers_hours)
    found = []
    for problem in seen.problems:
        taken_at = _taken_at(problem)
        if problem.kind != "incomplete" or problem.held or taken_at is None or problem.modified is None:
            continue
        if problem.destination != destination.name:
            continue
        source = problem.prefix.split("/")[1]
        arrivals = [
            copy.stored_at
            for backup in seen.of(source)
            for copy in backup.copies
            if copy.destination == destination.name and copy.stored_at is not None
        ]
        newest = max(arrivals, default=None)
        last = max(problem.modified, taken_at)
        if newest is not None and min(now, newest) - last >= grace:
            found.append(
                Removal(
                    destination=destination.name,
                    prefix=problem.prefix,
                    size=problem.size,
                    why="left by a run that was killed",
                )
            )
    return found


def _carry_out(
    destination: Destination,
    vault: str,
    planned: Sequence[Place],
    leftovers: Sequence[Removal],
    policy: VaultPolicy,
    trace: Trace,
) -> tuple[list[Removal], list[str], list[Finding]]:
    """Remove on one destination. Its first failure ends its work, and no other's."""
    removed: list[Removal] = []
    trouble: list[Finding] = []
    try:
        for place in planned:
            for removal in place.removals:
                if not _guarded(destination, place):
                    trouble.append(_unguarded(vault, place))
                    break
                _remove(destination, removal, removed, trace)
        for leftover in leftovers:
            _remove(destination, leftover, removed, trace)
        swept = destination.sweep(f"{vault}/", policy.leftovers_hours * 3600)
    except DestinationError as error:
        trouble.append(
            Finding(
                id="vault.prune",
                subject=f"{vault} on {destination.name}",
                status=Status.CRIT,
                summary=f"Pruning stopped after {len(removed)} removals: {error}",
                fix="mend the destination; the next run goes on where this one stopped",
                applied=_applied(removed),
            )
        )
        return removed, [], trouble
    return removed, swept, trouble


def _guarded(destination: Destination, place: Place) -> bool:
    """Tell whether the good backup for whose sake others may go is still there at this moment."""
    return bool(place.guard) and destination.stat(place.guard + manifests.NAME) is not None


def _remove(destination: Destination, removal: Removal, removed: list[Removal], trace: Trace) -> None:
    """Remove all objects of a backup, its manifest first, and note it; leave one that was held meanwhile.

    One that loses some objects and not all is noted, too: it is no backup any more.
    """
    prefix = removal.prefix
    sizes = {stored.key: stored.size for stored in destination.listing(prefix)}
    if prefix + catalog.HOLD in sizes:
        return
    gone: list[str] = []
    try:
        for key in sorted(sizes, key=lambda key: (key != prefix + manifests.NAME, key)):
            trace(f"{destination.name}: {key}")
            destination.delete(key)
            gone.append(key)
    except DestinationError:
        if gone:
            size = sum(sizes[key] for key in gone)
            why = f"{removal.why}, not to its end"
            removed.append(msgspec.structs.replace(removal, size=size, why=why))
        raise
    removed.append(removal)


def _remarks(vault: str, place: Place) -> Iterable[Finding]:
    return retention_findings.findings(place.plan, places.subject(vault, place.source, place.destination))


def _unguarded(vault: str, place: Place) -> Finding:
    return Finding(
        id="vault.prune",
        subject=places.subject(vault, place.source, place.destination),
        status=Status.CRIT,
        summary=f"{place.guard or 'The newest good backup'} vanished while others were about to be removed: "
        "they stay.",
        fix="look for who else removes backups there, and take a backup now",
    )


def _summary(
    vault: str, name: str, planned: Sequence[Place], removed: Sequence[Removal], *, check: bool
) -> Finding:
    kept = sum(len(place.plan.keep) for place in planned)
    gone = f"{len(removed)} {'would go' if check else 'went'} ({sized(sum(e.size for e in removed))})"
    return Finding(
        id="vault.prune",
        subject=f"{vault} on {name}",
        status=Status.OK,
        observed=len(removed),
        unit="backups",
        summary=f"{kept} backups stay, {gone}.",
        applied="" if check else _applied(removed),
    )


def _applied(removed: Sequence[Removal]) -> str:
    return "; ".join(each.sentence() for each in removed)


def _sentence(removed: Sequence[Removal], reached: int, declared: int, *, check: bool) -> str:
    would = "would be removed" if check else "removed"
    missing = f"; {declared - reached} destinations could not be reached" if reached < declared else ""
    return f"{len(removed)} backups {would}, {sized(sum(e.size for e in removed))}{missing}."


def _detail(place: Place) -> dict[str, object]:
    return {
        "destination": place.destination,
        "source": place.source,
        "kept": [{"id": kept.id, "reasons": list(kept.reasons)} for kept in place.plan.keep],
        "removed": [{"prefix": each.prefix, "bytes": each.size, "why": each.why} for each in place.removals],
    }
