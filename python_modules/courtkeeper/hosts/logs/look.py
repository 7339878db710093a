"""See what `audit` judges: the one place that asks the host, and changes nothing."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result, Status, worst
from courtkeeper.hosts import commands, services
from courtkeeper.hosts.logs import audit, config, install, journal, opened, paths, status
from courtkeeper.hosts.logs.seen import Folder, Holder, Journal, Log, Run, Seen, Written

STATUS = Path("/var/lib/logrotate/status")
# Files that live in memory, or are deleted on purpose by who made them.
NO_DISK = ("/memfd:", "/dev/", "/run/", "/proc/", "/SYSV", "/[")
ASK_S = 30
COMPLAINT = re.compile(r"error: (.+?)(?=error: |\Z)")


def refuse_odd_limits(limits: audit.Limits) -> None:
    """Raise ConfigurationError for a threshold that is no sensible number."""
    for name, value in msgspec.structs.asdict(limits).items():
        if not 1 <= value <= 2**20:
            raise ConfigurationError(f"log_rotation_{name} is {value}; it has to be from 1 to 1048576.")


def check(roots: Sequence[str], limits: audit.Limits, now: datetime) -> Result:
    """Look at the host and judge; `now` carries a zone. Raises ConfigurationError for odd roots, limits."""
    paths.refuse_odd_roots(roots, "log_rotation_roots")
    refuse_odd_limits(limits)
    seen = see(roots, now)
    findings = audit.judge(seen, limits, now.astimezone().replace(tzinfo=None))
    faults = sum(each.status in {Status.WARN, Status.CRIT} for each in findings)
    return Result(
        findings=findings,
        metrics={
            "logs": len(seen.logs),
            "logs_bytes": sum(log.held_bytes for log in seen.logs),
            "stanzas": len(seen.configuration.blocks),
            "deleted_open_files": len(seen.deleted),
            "journal_bytes": seen.journal.used_bytes or 0,
        },
        msg=f"{len(seen.logs)} logs looked at: {faults} faults, the worst is {worst(findings)}.",
    )


def see(roots: Sequence[str], now: datetime) -> Seen:
    """Gather everything."""
    configuration = config.load()
    scan = opened.scan()
    entries, age, problem = _status(now)
    logs, unseen = _logs(roots)
    return Seen(
        configuration=configuration,
        matched=[_matched(block) for block in configuration.blocks],
        logs=logs,
        folders=_folders(configuration),
        deleted=[
            Holder(paths.shown(each.path), each.held_bytes, each.pid, opened.unit(each.pid))
            for each in _once(scan.files)
            if not each.path.startswith(NO_DISK)
        ],
        written=list(_written(scan.files)),
        unseen=unseen,
        hidden_processes=len(scan.hidden),
        status=entries,
        status_age_hours=age,
        status_problem=problem,
        run=_run(),
        journal=Journal(journal.used_bytes(), journal.limit_bytes()),
        own_files=[name for name in configuration.files if Path(name).name.startswith(install.PREFIX)],
    )


def _once(files: Sequence[opened.Open]) -> Iterator[opened.Open]:
    """Deleted files, each once, however many processes share it."""
    found = {(each.device, each.inode): each for each in reversed(files) if each.deleted}
    yield from found.values()


def _written(files: Sequence[opened.Open]) -> Iterator[Written]:
    """Files with the name of a rotated one that a process has open for writing, each once.

    What a container calls by this name is another file.
    """
    found = {(each.device, each.inode): each for each in reversed(files) if each.written and not each.deleted}
    for each in found.values():
        if (log := paths.original(each.path)) and _is(each):
            yield Written(paths.shown(each.path), paths.shown(log), each.pid, opened.unit(each.pid))


def _is(each: opened.Open) -> bool:
    """Tell whether the path of an open file means this file on the host, too."""
    try:
        found = os.lstat(each.path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (each.device, each.inode)


def _matched(block: config.Block) -> list[str]:
    """Return the files that the patterns of a stanza find."""
    return [
        paths.shown(path)
        for pattern in block.patterns
        for path in sorted(glob.glob(pattern))  # noqa: PTH207 - the whole path is the pattern
        if os.path.isfile(path)  # noqa: PTH113
    ]


def _logs(roots: Sequence[str]) -> tuple[list[Log], list[str]]:
    """All regular files below the roots, and the directories that could not be looked into.

    The journal keeps itself and is left out. Links are not followed: one to a directory that no root holds is
    among those that were not looked into.
    """
    logs: list[Log] = []
    unseen: list[str] = []

    def hidden(error: OSError) -> None:
        if error.filename in roots or not isinstance(error, FileNotFoundError):  # else it is gone meanwhile
            unseen.append(paths.shown(str(error.filename)))

    for root in roots:
        for folder, folders, names in os.walk(root, onerror=hidden):
            if folder == "/var/log/journal":
                folders.clear()
                continue
            unseen += _led_away(folder, folders, roots)
            for name in names:
                path = f"{folder}/{name}"
                try:
                    found = os.lstat(path)
                except OSError:
                    continue
                if stat.S_ISREG(found.st_mode):
                    logs.append(Log(paths.shown(path), found.st_size, found.st_blocks * 512))
    return logs, unseen


def _led_away(folder: str, names: Sequence[str], roots: Sequence[str]) -> list[str]:
    """Return the links among directories that lead to where no root is, with their targets."""
    links = [path for name in names if (path := Path(folder, name)).is_symlink()]
    return [
        paths.shown(f"{link} -> {real}")
        for link in links
        for real in [os.path.realpath(link)]
        if not any(paths.below(real, root) for root in roots)
    ]


def _folders(configuration: config.Configuration) -> list[Folder]:
    """Return the directories that the patterns name and that exist."""
    wanted = {
        folder
        for block in configuration.blocks
        for pattern in block.patterns
        for folder in [os.path.dirname(pattern), *glob.glob(os.path.dirname(pattern))]  # noqa: PTH120, PTH207
    }
    found = []
    for folder in sorted(wanted):
        try:
            seen = os.stat(folder)  # noqa: PTH116
        except OSError:
            continue
        found.append(Folder(paths.shown(folder), seen.st_gid, stat.S_IMODE(seen.st_mode)))
    return found


def _status(now: datetime) -> tuple[dict[str, datetime] | None, float | None, str]:
    """Return logrotate's dates, the age of its status file in hours, and what is wrong with it."""
    try:
        age = (now.timestamp() - STATUS.stat().st_mtime) / 3600
        return status.parse(STATUS.read_text(errors="replace")), age, ""
    except FileNotFoundError:
        return None, None, ""
    except (OSError, CourtkeeperError) as error:
        return None, None, str(error).rstrip(".")


def complaints(text: str) -> list[str]:
    """Return the errors in what logrotate said; it does not end every one with a newline."""
    return [paths.shown(found.strip()) for line in text.splitlines() for found in COMPLAINT.findall(line)]


def _run() -> Run:
    """Ask systemd for logrotate's last run, and the journal for what that run said."""
    shown = commands.run(
        ["systemctl", "show", "--property=Result,InvocationID,ExecMainStartTimestamp", "logrotate.service"],
        timeout_s=ASK_S,
    )
    facts = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    result = facts.get("Result", "") if facts.get("ExecMainStartTimestamp") else ""
    errors: list[str] = []
    if result not in {"", "success"} and re.fullmatch(r"[0-9a-f]{32}", facts.get("InvocationID", "")):
        said = commands.run(
            ["journalctl", "--quiet", "--output=cat", f"_SYSTEMD_INVOCATION_ID={facts['InvocationID']}"],
            timeout_s=ASK_S,
            allowed=(0, 1),
        )
        errors = list(dict.fromkeys(complaints(said.stdout)))
    return Run(services.is_active("logrotate.timer"), result, errors)
