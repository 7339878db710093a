"""The journal: what it takes, what it may take, and which of its archived files are due."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Result, Status
from courtkeeper.hosts import commands

MACHINE_ID = Path("/etc/machine-id")
PLACES = (Path("/var/log/journal"), Path("/run/log/journal"))
# NAME@SEQNUMID-SEQNUM-REALTIME.journal, REALTIME in microseconds: systemd, journal-vacuum.c.
ARCHIVED = re.compile(r".+@[0-9a-f]{32}-[0-9a-f]{16}-([0-9a-f]{16})\.journal\Z")
BROKEN = re.compile(r".+@([0-9a-f]{16})-[0-9a-f]{16}\.journal~\Z")
USAGE = re.compile(r"take up ([0-9.]+)([BKMGTP]?) ")
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGTPE]?)i?B?\Z")
UNITS = "BKMGTPE"
ASK_S = 60
VACUUM_S = 300
# journald.conf(5): a tenth of the file system, at most 4 GiB.
SHARE, MOST_BYTES = 0.10, 4 * 2**30
DAY_S = 86400


class Archived(msgspec.Struct, frozen=True):
    """One archived file of the journal: when its first entry was written, and what it takes."""

    path: str
    first: float
    held_bytes: int


def bytes_of(number: str, unit: str) -> int:
    """Return a size in bytes; units are powers of 1024."""
    return int(float(number) * 1024 ** UNITS.index(unit or "B"))


def usage(text: str) -> int | None:
    """Return the bytes that `journalctl --disk-usage` speaks of; None if it names none."""
    found = USAGE.search(text[:4096])
    return bytes_of(found[1], found[2]) if found and found[1].count(".") < 2 and found[1] != "." else None


def limit(text: str) -> int | None:
    """Return SystemMaxUse, in bytes, from the text of journald's configuration; None if it is not set."""
    value = None
    for line in text.splitlines():
        name, _, given = line.strip().partition("=")
        if name.strip() == "SystemMaxUse":
            found = SIZE.match(given.strip())
            value = bytes_of(found[1], found[2]) if found and len(found[1]) < 20 else None
    return value


def first_entry(name: str) -> float | None:
    """Return when an archived file of this name begins, in seconds since 1970; None for an active one."""
    found = ARCHIVED.match(name) or BROKEN.match(name)
    return int(found[1], 16) / 1e6 if found else None


def used_bytes() -> int | None:
    """Return what all journal files take; None where it cannot be asked."""
    try:
        said = commands.run(["journalctl", "--quiet", "--disk-usage"], timeout_s=ASK_S, allowed=(0, 1))
    except commands.CommandError:
        return None
    if "No journal files" in said.stdout + said.stderr:
        return 0
    return usage(said.stdout)


def limit_bytes() -> int | None:
    """Return what the journal on disk may take; None where there is none."""
    if not PLACES[0].is_dir():
        return None
    said = commands.run(
        ["systemd-analyze", "cat-config", "systemd/journald.conf"], timeout_s=ASK_S, allowed=(0, 1)
    )
    room = os.statvfs(PLACES[0])
    return limit(said.stdout) or min(int(room.f_blocks * room.f_frsize * SHARE), MOST_BYTES)


def machine() -> str:
    """Return the name of the directory that this host's journal lies in. Raises CourtkeeperError."""
    try:
        return MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise CourtkeeperError(
            f"{MACHINE_ID} cannot be read ({error.strerror}): run systemd-machine-id-setup."
        ) from None


def archived(places: Iterable[Path] = PLACES) -> list[Archived]:
    """Return the archived files of this host's own journal, the oldest first."""
    found = []
    for place in places:
        for path in sorted((place / machine()).glob("*.journal*")):
            first = first_entry(path.name)
            if first is not None and path.is_file() and not path.is_symlink():
                found.append(Archived(str(path), first, path.stat().st_blocks * 512))
    return sorted(found, key=lambda each: (each.first, each.path))


def others(places: Iterable[Path] = PLACES) -> list[Finding]:
    """Return a finding for each journal of another machine, such as the one this host was copied from."""
    found = []
    for place in places:
        for folder in sorted(place.glob(32 * "[0-9a-f]")):
            held = sum(path.stat().st_blocks * 512 for path in folder.glob("*.journal*") if path.is_file())
            if folder.name != machine() and held:
                found.append(
                    Finding(
                        id="logs.journal.foreign",
                        subject=str(folder),
                        status=Status.WARN,
                        observed=held // 2**20,
                        unit="MiB",
                        summary=f"{folder} is the journal of another machine and takes {held // 2**20} MiB: "
                        "journalctl removes nothing there.",
                        fix=f"journalctl --directory={folder}, then rm -r it if nobody needs it",
                    )
                )
    return found


def due(files: Iterable[Archived], *, total_bytes: int, days: int, mib: int, now: datetime) -> list[Archived]:
    """Return what journalctl would remove: older than `days`, or the oldest while over `mib`."""
    chosen = []
    for each in files:
        old = days > 0 and each.first < now.timestamp() - days * DAY_S
        large = mib > 0 and total_bytes > mib * 2**20
        if old or large:
            chosen.append(each)
            total_bytes -= each.held_bytes
    return chosen


def refuse_odd_limits(days: int, mib: int) -> None:
    """Raise ConfigurationError for a limit that is no sensible number."""
    for name, value in (("days", days), ("mib", mib)):
        if not 0 <= value <= 100_000:
            raise ConfigurationError(
                f"log_rotation_journal_{name} is {value}; it has to be from 0 to 100000."
            )


def vacuum(days: int, mib: int, now: datetime, result: Result, *, check: bool) -> None:
    """Let journalctl remove archived files, never the active one, and add to `result` what went.

    It does so in the directory of this host's own machine id alone: what lies beside it is a finding.
    """
    refuse_odd_limits(days, mib)
    if not days and not mib:
        return
    result.findings += others()
    before = archived()
    total = sum(
        path.stat().st_blocks * 512
        for place in PLACES
        for path in (place / machine()).glob("*.journal*")
        if path.is_file()
    )
    chosen = due(before, total_bytes=total, days=days, mib=mib, now=now)
    if not chosen:
        return
    if not check:
        options = [f"--vacuum-time={days}d"] if days else []
        options += [f"--vacuum-size={mib}M"] if mib else []
        commands.run(["journalctl", "--quiet", *options], timeout_s=VACUUM_S)
        left = {each.path for each in archived()}
        chosen = [each for each in before if each.path not in left]
    result.actions += [f"remove {each.path} ({each.held_bytes} bytes) from the journal" for each in chosen]
    result.changed |= bool(chosen)
    result.metrics["journal_removed_bytes"] = sum(each.held_bytes for each in chosen)
