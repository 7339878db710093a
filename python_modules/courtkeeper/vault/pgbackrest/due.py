"""Which backup a repository is due for, by the calendar. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from courtkeeper.vault.pgbackrest.info import Backup
from courtkeeper.vault.pgbackrest.settings import DAYS, StanzaPolicy

Kind = Literal["full", "diff", "incr"]
_CLOCK = timedelta(minutes=10)
_DAMAGED = "what it would build on is damaged in the repository"


def due(backups: Sequence[Backup], policy: StanzaPolicy, now: datetime) -> tuple[Kind | None, str]:
    """Return what a repository with these backups is due for, and why; None where nothing is.

    A full one where what it would build on is damaged: it would be lost with it. Damaged pages of the server
    are no reason, as another full one has them, too. A backup dated in the future counts for nothing.
    """
    past = [backup for backup in backups if backup.taken_at <= now + _CLOCK]
    fulls = [backup for backup in past if backup.kind == "full"]
    if not fulls:
        return "full", "there is no full backup to build on"
    last_full = max(fulls, key=lambda backup: backup.taken_at)
    if unsound(past):
        return "full", _DAMAGED
    zone = ZoneInfo(policy.retention.time_zone)
    since = latest(policy.full_on, now, zone)
    if since is not None and last_full.taken_at < since:
        return "full", f"none was taken since {since:%A}"
    last = max(past, key=lambda backup: backup.taken_at)
    age = now - last.taken_at
    if age < timedelta(hours=policy.every_hours):
        return None, f"the last one is {age / timedelta(hours=1):.1f} hours old"
    since = latest(policy.differential_on, now, zone)
    cumulative = [backup for backup in past if backup.kind in ("full", "diff")]
    if since is not None and max(backup.taken_at for backup in cumulative) < since:
        return "diff", f"none was taken since {since:%A}"
    return "incr", f"the last one is {age / timedelta(hours=1):.1f} hours old"


def unsound(backups: Sequence[Backup]) -> str:
    """Say why nothing may be built on what there is; empty where it may."""
    fulls = [backup.taken_at for backup in backups if backup.kind == "full"]
    broken = fulls and any(backup.damaged and backup.taken_at >= max(fulls) for backup in backups)
    return _DAMAGED if broken else ""


def latest(days: Collection[str], now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the last midnight that began one of `days`; None where there are none."""
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    for back in range(7):
        day = today - timedelta(days=back)
        if DAYS[day.weekday()] in days:
            return day
    return None
