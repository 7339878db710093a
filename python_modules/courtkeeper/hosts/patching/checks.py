"""What has to be true before anything is changed: the window, the locks, the disk, the backup."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Status

# apt takes the first two for an index, the others for a change (apt-get(8), dpkg(1)).
LOCKS = (
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
)
POLL_S = 0.5
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(?:([A-Z][a-z]{2}(?:[-,][A-Z][a-z]{2})*) )?(\d\d):(\d\d)-(\d\d):(\d\d)")
MIB = 1024 * 1024


class Window(msgspec.Struct, frozen=True):
    """On which days (0 is Monday) it opens, and from which minute of the day to which."""

    days: frozenset[int]
    start: int
    end: int


def window(text: str) -> Window:
    """Read `Sun 02:00-06:00`, `Sat,Sun 22:00-04:00`, `Mon-Fri 01:00-03:00` or `02:00-06:00`.

    One that ends before it begins goes on into the next day. Raises ConfigurationError.
    """
    wrong = ConfigurationError(f"os_patching_window is {text!r}; write it as `Sun 02:00-06:00`.")
    match = _WINDOW.fullmatch(text.strip())
    if not match:
        raise wrong
    hours = [int(part) for part in match.groups()[1:]]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if max(hours[1], hours[3]) > 59 or start > 1439 or end > 1440 or start == end:
        raise wrong
    days: set[int] = set()
    for part in match[1].split(",") if match[1] else ["Mon-Sun"]:
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise wrong
        day, until = DAYS.index(first), DAYS.index(last or first)
        days |= {(day + step) % 7 for step in range((until - day) % 7 + 1)}
    return Window(frozenset(days), start, end)


def is_open(asked: Window, now: datetime) -> bool:
    """Tell whether `asked` is open at `now` (in the window's own time zone)."""
    minute = now.hour * 60 + now.minute
    if asked.start < asked.end:
        return now.weekday() in asked.days and asked.start <= minute < asked.end
    yesterday = (now - timedelta(days=1)).weekday()
    return (now.weekday() in asked.days and minute >= asked.start) or (
        yesterday in asked.days and minute < asked.end
    )


def judge_window(text: str, zone: str, now: datetime) -> Finding:
    """Return whether `now` lies in the window `text`; an empty one is always open."""
    try:
        local = now.astimezone(ZoneInfo(zone))
    except (OSError, ValueError, KeyError):  # whichever the kind of nonsense leads to
        raise ConfigurationError(f"os_patching_time_zone is {zone!r}, which is no time zone.") from None
    shown = f"{local:%a %H:%M}"
    good = not text or is_open(window(text), local)
    return Finding(
        id="patching.window",
        subject=text or "always",
        status=Status.OK if good else Status.CRIT,
        observed=shown,
        threshold=text or None,
        summary=f"It is {shown} ({zone}), {'inside' if good else 'outside'} the window {text or 'always'}.",
        fix="" if good else "wait for the window, or change os_patching_window",
    )


def judge_backup(marker: str, max_age_h: float, now: datetime) -> Finding:
    """Return whether the file `marker`, which a backup touches when it is done, is fresh."""
    try:
        age_h = (now.timestamp() - Path(marker).stat().st_mtime) / 3600
    except OSError as error:
        summary = f"The backup's marker {marker} cannot be read: {error.strerror}."
        observed, good = None, False
    else:
        observed, good = round(age_h, 1), -1 <= age_h <= max_age_h
        summary = f"The last backup is {age_h:.1f} h old ({marker}); at most {max_age_h:g} h are allowed."
    return Finding(
        id="patching.backup",
        subject=marker,
        status=Status.OK if good else Status.CRIT,
        observed=observed,
        threshold=max_age_h,
        unit="h",
        summary=summary,
        fix="" if good else "take a backup first",
    )


class Place(msgspec.Struct, frozen=True):
    """A file system: where it is mounted, its size, what is free and what the upgrade needs, in bytes."""

    path: str
    size: int
    free: int
    need: int


def places(needs: dict[str, int]) -> list[Place]:
    """Return the file systems that the directories of `needs` lie on, each once, with their needs summed."""
    found: dict[int, Place] = {}
    for path, need in needs.items():
        try:
            device, space = Path(path).stat().st_dev, os.statvfs(path)
        except OSError:
            continue
        known = found.get(device)
        found[device] = Place(
            known.path if known else path,
            space.f_blocks * space.f_frsize,
            space.f_bavail * space.f_frsize,
            need + (known.need if known else 0),
        )
    return list(found.values())


def judge_space(place: Place, min_free_percent: float, min_free_mib: float) -> Finding:
    """Return whether enough stays free at `place` after the upgrade: the smaller of the two floors."""
    floor = min(place.size * min_free_percent / 100, min_free_mib * MIB)
    left = place.free - place.need
    good = left >= floor
    return Finding(
        id="patching.disk",
        subject=place.path,
        status=Status.OK if good else Status.CRIT,
        observed=round(left / MIB),
        threshold=round(floor / MIB),
        unit="MiB",
        summary=(
            f"{place.path} has {place.free / MIB:.0f} MiB free, the upgrade takes {place.need / MIB:.0f}, "
            f"and {floor / MIB:.0f} MiB have to stay."
        ),
        fix="" if good else f"free space on {place.path}, for example with `apt-get clean`",
    )


def holder(path: str) -> int:
    """Return the id of the process that holds the lock file `path`, 0 if nobody does."""
    # struct flock on Linux, 64 bit: type, whence, start, length, pid.
    layout = "hhqqi4x"
    try:
        with Path(path).open("rb") as stream:
            ask = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, process = struct.unpack(layout, fcntl.fcntl(stream, fcntl.F_GETLK, ask))
    except OSError:
        return 0
    return 0 if kind == fcntl.F_UNLCK else max(int(process), 1)


def wait_for_locks(timeout_s: float, paths: Sequence[str] = LOCKS) -> None:
    """Wait until no other package tool holds a lock; raise CourtkeeperError naming it after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while held := [(path, process) for path in paths if (process := holder(path))]:
        if time.monotonic() >= deadline:
            path, process = held[0]
            raise CourtkeeperError(
                f"{_command(process)} (process {process}) has held {path} for over {timeout_s:g} s: "
                "let it finish, then run again."
            )
        time.sleep(POLL_S)


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/comm").read_text().strip() or "Another program"
    except OSError:
        return "Another program"
