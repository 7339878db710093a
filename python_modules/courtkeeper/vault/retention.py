"""Which backups stay: grandfather, father, son, planned once for the vault and for pgBackRest.

Pure: it reads nothing and removes nothing. A level keeps the newest good backup of each of its newest so
many days, weeks or months *that have one*; where backups stopped, nothing ages away. The newest of a period
is the newest of it for ever, so pruning daily ends where pruning once would, and what is let go is not missed
later.

What no policy removes: the newest good one, the last proven one, what is held, what a kept one needs (the
full behind an incremental), the base of every promised point in time, and what carries a date that cannot be
believed. Where no good backup is left, everything stays: half a backup is better than none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import within

# A clock may be off by so much before a backup counts as dated in the future.
_CLOCK = timedelta(minutes=10)
# A backup is in its place so soon after its moment; a larger gap is a clock that jumped, or a copy.
UNDERWAY = timedelta(days=2)
# So long may somebody find out which of the two it was.
DOUBT = timedelta(days=30)

NEWEST = "newest"
PROVEN = "last proven"
HELD = "held"
WINDOW = "point in time"
POINT = "promised point"
NEEDED = "needed by another"
FUTURE = "dated in the future"
DOUBTFUL = "date in doubt"
BROKEN = "broken, kept to be looked at"
ONLY_BROKEN = "no good one is left"


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many days, weeks (ISO) and months keep a backup, by the calendar of `time_zone`.

    `window_days` promises every point in time of so many days back, and `points` single ones, older or not:
    their bases and write-ahead log are kept. `broken_days` is how long a broken backup is kept to be looked
    at once there is a newer good one.
    """

    daily: int = 30
    weekly: int = 12
    monthly: int = 24
    time_zone: str = "UTC"
    window_days: float = 0
    points: tuple[datetime, ...] = ()
    broken_days: float = 7


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A backup of one source in one place, as the planner sees it. Times know their zone.

    `taken_at` is the moment that a restore gives back: of the dump's snapshot, or the stop of a physical
    backup. `stored_at` is when its place says that it arrived. `good` is whether it is complete and nothing
    speaks against it. `needs` are the ids it cannot be restored without; empty is a full one. `wal_start` and
    `wal_stop` are the segments that make it consistent.
    """

    id: str
    taken_at: datetime
    stored_at: datetime | None = None
    good: bool = True
    proven_at: datetime | None = None
    held: bool = False
    needs: tuple[str, ...] = ()
    wal_start: str = ""
    wal_stop: str = ""


class Kept(msgspec.Struct, frozen=True):
    """A backup that stays, and every reason why."""

    id: str
    reasons: tuple[str, ...]


class Span(msgspec.Struct, frozen=True):
    """Write-ahead log that is needed: segments `start` to `stop`, both of them; '' is without end."""

    start: str
    stop: str
    reason: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What stays, newest first, and what goes, in an order in which nothing is needed by a later one.

    `wal` are the segments that have to stay; `archive_fulls` is the same for pgBackRest's
    `retention-archive` of type full: so many of the newest kept full backups need the log without a gap.
    `window_from` is since when every point in time can be had; None where no window is promised or can be.
    `unreachable` are promised points for which there is no base any more.
    """

    keep: tuple[Kept, ...]
    remove: tuple[str, ...]
    wal: tuple[Span, ...] = ()
    archive_fulls: int = 0
    window_from: datetime | None = None
    unreachable: tuple[datetime, ...] = ()

    def reasons(self) -> dict[str, tuple[str, ...]]:
        """Return why each kept one stays, by id."""
        return {kept.id: kept.reasons for kept in self.keep}


def checked(policy: Policy, prefix: str = "policy.") -> Policy:
    """Return `policy` if it can be; raises ConfigurationError that names the key."""
    within(f"{prefix}daily", policy.daily, 0, 3660)
    within(f"{prefix}weekly", policy.weekly, 0, 1040)
    within(f"{prefix}monthly", policy.monthly, 0, 1200)
    within(f"{prefix}window_days", policy.window_days, 0, 3660)
    within(f"{prefix}broken_days", policy.broken_days, 0, 3660)
    if not policy.daily + policy.weekly + policy.monthly:
        raise ConfigurationError(
            f"{prefix}daily, weekly and monthly are all 0, which keeps nothing: give one of them a number"
        )
    try:
        ZoneInfo(policy.time_zone)
    except (ValueError, OSError, KeyError) as error:
        raise ConfigurationError(
            f"{prefix}time_zone is {policy.time_zone!r}, which is no time zone: write it as Europe/Berlin"
        ) from error
    if any(point.tzinfo is None for point in policy.points):
        raise ConfigurationError(f"{prefix}points have to name their zone, as 2026-02-11T06:00:00+00:00")
    return policy


def plan(candidates: Iterable[Candidate], policy: Policy, *, now: datetime) -> Plan:
    """Decide what stays of the backups of one source in one place. The order given does not matter."""
    backups = sorted(candidates, key=_age)
    known = {backup.id: backup for backup in backups}
    good = restorable(backups)
    why: dict[str, list[str]] = {}
    if good:
        trusted = [backup for backup in good if not _future(backup, now) and not _doubtful(backup, now)]
        for reason, ids in _wanted(backups, good, trusted, policy, now):
            for each in ids:
                why.setdefault(each, []).append(reason)
        _add_needs(why, known)
    else:
        why = {backup.id: [ONLY_BROKEN] for backup in backups}
    newest_first = [backup for backup in reversed(backups) if backup.id in why]
    bases = _bases(policy, backups, [backup for backup in good if backup.id in why], now)
    return Plan(
        keep=tuple(Kept(backup.id, tuple(dict.fromkeys(why[backup.id]))) for backup in newest_first),
        remove=_in_order([backup for backup in backups if backup.id not in why]),
        wal=_spans(newest_first, bases),
        archive_fulls=_fulls(newest_first, bases, known),
        window_from=_window_from(policy, good, now),
        unreachable=tuple(point for point in _points(policy, now) if not _base(good, point, now)),
    )


def _age(backup: Candidate) -> tuple[datetime, str]:
    """Order by moment; two of the same moment by id, so that every run decides alike."""
    return backup.taken_at, backup.id


def restorable(backups: Sequence[Candidate]) -> list[Candidate]:
    """Return those that are good and whose needs are all there and whole themselves."""
    whole = {backup.id for backup in backups if backup.good}
    while lost := {each.id for each in backups if each.id in whole and not whole.issuperset(each.needs)}:
        whole -= lost
    return [backup for backup in backups if backup.id in whole]


def _future(backup: Candidate, now: datetime) -> bool:
    return backup.taken_at > now + _CLOCK


def _doubtful(backup: Candidate, now: datetime) -> bool:
    if backup.stored_at is None:
        return False
    return backup.stored_at - backup.taken_at > UNDERWAY and now - backup.stored_at < DOUBT


def _wanted(
    backups: Sequence[Candidate],
    good: Sequence[Candidate],
    trusted: Sequence[Candidate],
    policy: Policy,
    now: datetime,
) -> Iterable[tuple[str, Collection[str]]]:
    """Give each reason with the ids that it keeps; `backups` and the others are the oldest first."""
    zone = ZoneInfo(policy.time_zone)

    def day(backup: Candidate) -> date:
        return backup.taken_at.astimezone(zone).date()

    yield "daily", _newest_of(trusted, policy.daily, day)
    yield "weekly", _newest_of(trusted, policy.weekly, lambda backup: day(backup).isocalendar()[:2])
    yield "monthly", _newest_of(trusted, policy.monthly, lambda backup: day(backup).replace(day=1))
    yield NEWEST, [(trusted or good)[-1].id]
    yield PROVEN, {each.id for group in (backups, good) for each in _last_proven(group)}
    yield HELD, [backup.id for backup in backups if backup.held]
    yield FUTURE, [backup.id for backup in backups if _future(backup, now)]
    yield DOUBTFUL, [backup.id for backup in good if _doubtful(backup, now)]
    if policy.window_days:
        since = now - timedelta(days=policy.window_days)
        base = _base(trusted, since, now)
        first = base.taken_at if base else since
        yield WINDOW, [backup.id for backup in trusted if backup.taken_at >= first]
    yield POINT, [base.id for point in _points(policy, now) if (base := _base(trusted, point, now))]
    broken_until = now - timedelta(days=policy.broken_days)
    whole = {backup.id for backup in good}
    newest = (trusted or good)[-1].taken_at
    broken = [backup for backup in backups if backup.id not in whole]
    yield BROKEN, [each.id for each in broken if each.taken_at > min(broken_until, newest)]


def _newest_of(
    backups: Sequence[Candidate], periods: int, period: Callable[[Candidate], object]
) -> Collection[str]:
    """Return the ids of the newest backup of each of the newest `periods` that have one."""
    newest: dict[object, str] = {}
    for backup in reversed(backups):
        if len(newest) == periods and period(backup) not in newest:
            break
        newest.setdefault(period(backup), backup.id)
    return newest.values() if periods else ()


def _last_proven(backups: Sequence[Candidate]) -> list[Candidate]:
    """Return the newest of the proven ones, and the one that was proven last."""
    proven = [backup for backup in backups if backup.proven_at]
    if not proven:
        return []
    return [proven[-1], max(proven, key=lambda backup: (backup.proven_at, _age(backup)))]


def _points(policy: Policy, now: datetime) -> list[datetime]:
    return sorted({point for point in policy.points if point <= now})


def _base(good: Sequence[Candidate], point: datetime, now: datetime) -> Candidate | None:
    """Return the newest good backup from which `point` can be reached."""
    usable = [backup for backup in good if backup.taken_at <= point and not _future(backup, now)]
    return usable[-1] if usable else None


def _window_from(policy: Policy, good: Sequence[Candidate], now: datetime) -> datetime | None:
    if not policy.window_days:
        return None
    since = now - timedelta(days=policy.window_days)
    if _base(good, since, now):
        return since
    return next((backup.taken_at for backup in good if not _future(backup, now)), None)


def _bases(
    policy: Policy, backups: Sequence[Candidate], kept: Sequence[Candidate], now: datetime
) -> list[tuple[Candidate, Candidate | None, str]]:
    """Return each base with the first backup after what it has to reach (None: to the end) and why."""
    usable = [backup for backup in kept if not _future(backup, now) and not _doubtful(backup, now)]
    found: list[tuple[Candidate, Candidate | None, str]] = []
    if policy.window_days and usable:
        base = _base(usable, now - timedelta(days=policy.window_days), now)
        found.append((base or usable[0], None, WINDOW))
    for point in _points(policy, now):
        if base := _base(usable, point, now):
            later = (each for each in backups if each.taken_at > point and each.wal_stop)
            found.append((base, next(later, None), POINT))
    return found


def _spans(
    kept: Sequence[Candidate], bases: Sequence[tuple[Candidate, Candidate | None, str]]
) -> tuple[Span, ...]:
    spans = [
        Span(backup.wal_start, backup.wal_stop, backup.id)
        for backup in kept
        if backup.wal_start and backup.wal_stop
    ]
    spans += [
        Span(base.wal_start, after.wal_stop if after else "", reason)
        for base, after, reason in bases
        if base.wal_start
    ]
    return tuple(spans)


def _fulls(
    kept: Sequence[Candidate],
    bases: Sequence[tuple[Candidate, Candidate | None, str]],
    known: Mapping[str, Candidate],
) -> int:
    """Count the newest kept full backups down to the one behind the oldest base; `kept` is newest first."""
    roots = [root for base, _, _ in bases for root in _closure([base.id], known) if not known[root].needs]
    oldest = min((_age(known[root]) for root in roots), default=None)
    if oldest is None:
        return 0
    return sum(1 for backup in kept if not backup.needs and _age(backup) >= oldest)


def _closure(ids: Iterable[str], known: Mapping[str, Candidate]) -> set[str]:
    """Return `ids` and all that they need, as far as it is there."""
    found: set[str] = set()
    left = [each for each in ids if each in known]
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += [need for need in known[each].needs if need in known]
    return found


def _add_needs(why: dict[str, list[str]], known: Mapping[str, Candidate]) -> None:
    wanted = list(why)
    for each in _closure(wanted, known).difference(wanted):
        why[each] = [NEEDED]


def _in_order(backups: Sequence[Candidate]) -> tuple[str, ...]:
    """Order removals: the oldest first, but nothing before what needs it."""
    left = {backup.id: backup for backup in backups}
    ordered: list[str] = []
    while left:
        needed = {need for backup in left.values() for need in backup.needs}
        free = [each for each in left if each not in needed] or list(left)
        ordered += free
        for each in free:
            del left[each]
    return tuple(ordered)
