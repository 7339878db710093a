"""What stays in a repository: pgBackRest expires nothing by itself, and what the planner lets go by name.

Its own retention counts backups and knows no days, weeks and months, so its configuration keeps them all
(`repoN-retention-full=9999999`). The log goes by `repoN-retention-archive` of type full, as far back as the
plan's promised points need it; what older backups need to be consistent pgBackRest keeps by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import retention
from courtkeeper.vault.pgbackrest.command import Pgbackrest, PgbackrestError
from courtkeeper.vault.pgbackrest.judge import subject
from courtkeeper.vault.pgbackrest.look import Look
from courtkeeper.vault.retention import Plan


@dataclass(frozen=True)
class Expiry:
    """What goes from one repository: backups in an order in which nothing is needed by a later one, and log.

    `fulls`: the log stays back to the so-manieth newest full backup; 0 leaves all of it. `segments` is about
    how many go.
    """

    repository: int
    plan: Plan
    remove: tuple[str, ...]
    fulls: int
    segments: int

    def actions(self) -> list[str]:
        """Say what goes, and why it may."""
        kept = len(self.plan.keep)
        found = [
            f"expire {label} from repo{self.repository}: no day, week or month needs it ({kept} stay)"
            for label in self.remove
        ]
        if self.segments:
            found.append(f"expire {self.segments} segments of log from repo{self.repository}")
        return found


def planned(seen: Look, repository: int) -> Expiry:
    """Plan what goes from a repository. Pure."""
    plan = seen.plan(repository)
    log = seen.logs.get(repository)
    fulls = _fulls(seen, repository, plan)
    gone = 0
    if log is not None and fulls:
        gone = _segments(seen, repository, plan, fulls)
    return Expiry(repository=repository, plan=plan, remove=plan.remove, fulls=fulls, segments=gone)


def carried_out(program: Pgbackrest, seen: Look, expiry: Expiry) -> tuple[list[str], list[Finding]]:
    """Let go what was planned; return what was done. The first failure ends it, and is a finding."""
    done: list[str] = []
    key = expiry.repository
    try:
        for label, action in zip(expiry.remove, expiry.actions(), strict=False):
            program.ask("expire", f"--repo={key}", f"--set={label}", timeout_s=_bound(program))
            done.append(action)
        if expiry.segments:
            program.ask(
                "expire", f"--repo={key}", f"--repo{key}-retention-archive-type=full",
                f"--repo{key}-retention-archive={expiry.fulls}", timeout_s=_bound(program),
            )  # fmt: skip
            done.append(expiry.actions()[-1])
    except PgbackrestError as error:
        return done, [
            Finding(
                id="pgbackrest.expire",
                subject=subject(seen, key),
                status=Status.CRIT,
                summary=f"Retention stopped after {len(done)} removals: {str(error).rstrip('.')}.",
                fix="mend the repository; the next run goes on where this one stopped",
            )
        ]
    return done, []


def _bound(program: Pgbackrest) -> float:
    return program.stanza.policy.timeout_hours * 3600


def _fulls(seen: Look, repository: int, plan: Plan) -> int:
    """Return how many of the newest full backups keep their log to the end; 0 where no log may go.

    Never fewer than down to the newest one that can be restored, whatever is promised. And a promise is kept
    from a damaged one, too: its file may be mended, and then its log has to be there.
    """
    good = {backup.label for backup in seen.good(repository)}
    stay = [backup for backup in seen.info.of(repository)[::-1] if backup.label not in plan.remove]
    newest_good = next((backup for backup in stay if backup.label in good), None)
    if newest_good is None:
        return 0
    mended = [msgspec.structs.replace(each, good=True) for each in seen.candidates(repository)]
    promised = retention.plan(mended, seen.stanza.policy.retention, now=seen.now).wal
    reasons = (retention.WINDOW, retention.POINT)
    starts = [newest_good.wal_start, *(span.start for span in promised if span.reason in reasons)]
    fulls = [backup for backup in stay if backup.kind == "full"]
    reaching = (
        number
        for number, full in enumerate(fulls, 1)
        if full.wal_start[8:] <= min(start[8:] for start in starts)
    )
    return max(plan.archive_fulls, next(reaching, len(fulls)))


def _segments(seen: Look, repository: int, plan: Plan, fulls: int) -> int:
    """Count the segments that are older than the log that stays, and in no kept backup's own."""
    stay = [backup for backup in seen.info.of(repository) if backup.label not in plan.remove]
    newest = [backup for backup in stay if backup.kind == "full"][-fulls:]
    if not newest or not newest[0].wal_start or any(not backup.wal_stop for backup in stay):
        return 0
    edge = newest[0].wal_start[8:]
    spans = [(backup.wal_start[8:], backup.wal_stop[8:]) for backup in stay]
    names: Sequence[str] = [name[8:] for name in seen.logs[repository].listing.segments]
    return sum(1 for name in names if name < edge and not any(first <= name <= last for first, last in spans))
