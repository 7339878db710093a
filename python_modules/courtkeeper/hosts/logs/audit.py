"""Judge what was seen of a host's logs: pure, from a `Seen` to findings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.hosts.logs import paths
from courtkeeper.hosts.logs.config import Block, Configuration
from courtkeeper.hosts.logs.seen import Journal, Run, Seen

MIB = 2**20
# A rotation that was due twice did not happen; the third day allows for a host that was off.
# Our own choice: a writer that was told to open a new file has done so within the hour.
REOPEN_HOURS = 1
OVERDUE_DAYS = {"hourly": 2, "daily": 3, "weekly": 15, "monthly": 63, "yearly": 733}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The role's thresholds."""

    large_mib: int
    stale_hours: int
    deleted_mib: int


def judge(seen: Seen, limits: Limits, now: datetime) -> list[Finding]:
    """Return a finding for each fault, and one `ok` for each thing looked at that has none.

    `now` is local time without a zone, as logrotate's status file has it.
    """
    checks = {
        "logs.large.uncovered": [*_unseen(seen.unseen), *_uncovered(seen, limits)],
        "logs.status": list(_status(seen, limits)),
        "logs.run": list(_run(seen.run)),
        "logs.rotation.overdue": list(_overdue(seen, now)),
        "logs.rotated.written": list(_written(seen, now)),
        "logs.deleted.open": list(_deleted(seen, limits)),
        "logs.path.twice": list(_twice(seen)),
        "logs.stanza.empty": list(_empty(seen)),
        "logs.directory.insecure": list(_insecure(seen)),
        "logs.config.ignored": list(_ignored(seen.configuration)),
        "logs.journal.size": list(_journal(seen.journal)),
    }
    fine = {
        "logs.large.uncovered": f"Every log of {limits.large_mib} MiB or more is rotated.",
        "logs.status": "Logrotate has written its status file lately.",
        "logs.run": "Logrotate's last run ended well and its timer is active.",
        "logs.rotation.overdue": "No log waits for a rotation that is overdue.",
        "logs.rotated.written": "No process writes to a file that was rotated away from it.",
        "logs.deleted.open": "No process holds a large deleted file.",
        "logs.path.twice": "No log is rotated by two stanzas.",
        "logs.stanza.empty": "Every stanza finds something, or could.",
        "logs.directory.insecure": "Logrotate passes over no directory for its permissions.",
        "logs.config.ignored": "Logrotate reads every file of its configuration.",
        "logs.journal.size": "The journal keeps to its size.",
    }
    found = []
    for name, faults in checks.items():
        if faults:
            found += faults
        else:
            found.append(Finding(id=name, subject="host", status=Status.OK, summary=fine[name]))
    return found


def _unseen(folders: Sequence[str]) -> Iterator[Finding]:
    """Roots, or directories in them, that could not be looked into."""
    for folder in folders:
        yield Finding(
            id="logs.large.uncovered",
            subject=folder,
            status=Status.UNKNOWN,
            summary=f"{folder} could not be looked into, so that nothing is known of logs there.",
            fix="mend log_rotation_roots, or the directory",
        )


def _uncovered(seen: Seen, limits: Limits) -> Iterator[Finding]:
    """Large logs that no stanza finds, now or by the name that they were rotated from."""
    patterns = [pattern for block in seen.configuration.blocks for pattern in block.patterns]
    for log in seen.logs:
        if log.held_bytes < limits.large_mib * MIB:
            continue
        names = {log.path, paths.original(log.path)}
        if not any(paths.matches(name, pattern) for name in names for pattern in patterns):
            yield Finding(
                id="logs.large.uncovered",
                subject=log.path,
                status=Status.WARN,
                observed=log.held_bytes // MIB,
                threshold=limits.large_mib,
                unit="MiB",
                summary=f"{log.path} has {log.held_bytes // MIB} MiB and no logrotate stanza covers it.",
                fix=f"declare a stanza for {log.path} in log_rotation_stanzas",
            )


def _status(seen: Seen, limits: Limits) -> Iterator[Finding]:
    """A status file that is damaged, missing or not written for too long."""
    if seen.status_problem:
        yield Finding(
            id="logs.status.unreadable",
            subject="/var/lib/logrotate/status",
            status=Status.CRIT,
            summary=f"logrotate rotates nothing: {seen.status_problem}.",
            fix="remove the file: logrotate begins a new one and rotates at the next date",
        )
    elif seen.status_age_hours is None:
        yield Finding(
            id="logs.status.stale",
            subject="/var/lib/logrotate/status",
            status=Status.UNKNOWN if seen.run.timer_active else Status.CRIT,
            summary="logrotate has never run on this host.",
            fix="systemctl start logrotate.service",
        )
    elif seen.status_age_hours > limits.stale_hours:
        yield Finding(
            id="logs.status.stale",
            subject="/var/lib/logrotate/status",
            status=Status.CRIT,
            observed=round(seen.status_age_hours, 1),
            threshold=limits.stale_hours,
            unit="hours",
            summary=f"logrotate last finished {seen.status_age_hours:.0f} hours ago: nothing is rotated.",
            fix="systemctl status logrotate.timer logrotate.service",
        )


def _run(run: Run) -> Iterator[Finding]:
    """A timer that does not run, a last run that failed, and each complaint of it."""
    if not run.timer_active:
        yield Finding(
            id="logs.run.timer",
            subject="logrotate.timer",
            status=Status.CRIT,
            summary="logrotate.timer is not active: nothing starts logrotate.",
            fix="systemctl enable --now logrotate.timer",
        )
    if not run.result:
        yield Finding(
            id="logs.run.unknown",
            subject="logrotate.service",
            status=Status.UNKNOWN,
            summary="logrotate.service has not run since the host started: how it ends is not known.",
            fix="systemctl start logrotate.service",
        )
    if run.result in {"", "success"}:
        return
    for error in run.errors or [f"its result is {run.result}"]:
        script = "script" in error
        yield Finding(
            id="logs.run.script" if script else "logs.run.failed",
            subject=_subject(error) or "logrotate.service",
            status=Status.CRIT,
            observed=run.result,
            summary=f"logrotate's last run failed: {error.rstrip('. ')}.",
            fix="run the script by hand" if script else "logrotate --debug /etc/logrotate.conf",
        )


def _subject(error: str) -> str:
    """Return the path that a complaint names; '' if it names none."""
    words = (word.strip("'\",:") for word in error.split())
    return next((word for word in words if word.startswith("/")), "")


def _overdue(seen: Seen, now: datetime) -> Iterator[Finding]:
    """Logs with content whose date in the status file stands still although their stanza goes by dates."""
    sizes = {log.path: log.size for log in seen.logs}
    for block, files in zip(seen.configuration.blocks, seen.matched, strict=True):
        days = _period(block, seen.configuration.globals)
        for path in files if days and seen.status else []:
            last = (seen.status or {}).get(path)
            if last and sizes.get(path, 0) > 0 and (age := (now - last).total_seconds() / 86400) > days:
                yield Finding(
                    id="logs.rotation.overdue",
                    subject=path,
                    status=Status.WARN,
                    observed=round(age, 1),
                    threshold=days,
                    unit="days",
                    summary=f"{path} was rotated {age:.0f} days ago, by {block.file}, and has lines again.",
                    fix=f"logrotate --debug /etc/logrotate.conf, and look for {path}",
                )


def _period(block: Block, settings: dict[str, str]) -> int:
    """Return after how many days a rotation of `block` is overdue; 0 if it does not go by dates alone."""
    least = {
        name: settings.get(name, "0") for name in ("minsize", "minage")
    }  # each alone holds a rotation up
    if "size" in block.directives or {block.directives.get(name, least[name]) for name in least} != {"0"}:
        return 0
    for source in (block.directives, settings):
        for name, days in OVERDUE_DAYS.items():
            if name in source:
                return days
    return 0


def _hidden(name: str, count: int) -> Iterator[Finding]:
    """Say of the check `name` that processes could not be looked into."""
    if count:
        yield Finding(
            id=name,
            subject="processes",
            status=Status.UNKNOWN,
            observed=count,
            unit="processes",
            summary=f"{count} processes hide which files they hold open.",
            fix="run as root of the host, not of a container that may not trace processes",
        )


def _written(seen: Seen, now: datetime) -> Iterator[Finding]:
    """Rotated files that are written still: their postrotate ends well and does nothing.

    Such a file never grows old, so that nothing compresses or removes it, and the new log stays empty.
    """
    yield from _hidden("logs.rotated.written", seen.hidden_processes)
    patterns = {pattern: block for block in seen.configuration.blocks for pattern in block.patterns}
    for each in seen.written:
        block = next((block for pattern, block in patterns.items() if paths.matches(each.log, pattern)), None)
        last = (seen.status or {}).get(each.log)
        hours = (now - last).total_seconds() / 3600 if last else None
        if block is None or (hours is not None and hours < REOPEN_HOURS):
            continue
        who = each.unit or f"process {each.pid}"
        yield Finding(
            id="logs.rotated.written",
            subject=each.path,
            status=Status.WARN,
            observed=round(hours, 1) if hours is not None else None,
            threshold=REOPEN_HOURS,
            unit="hours",
            summary=f"{who} (pid {each.pid}) still writes to {each.path}, which was rotated: the postrotate "
            f"in {block.file} does not make it open {each.log}, and the file grows without an end.",
            fix=f"{_again(each.unit, each.pid)}, then mend the postrotate",
        )


def _again(unit: str, pid: int) -> str:
    """Say how a process is made to open its files anew; only a service can be reloaded or restarted."""
    if unit.endswith(".service"):
        return f"systemctl reload-or-restart {unit}"
    return f"end or restart process {pid}"


def _deleted(seen: Seen, limits: Limits) -> Iterator[Finding]:
    """Deleted files that still take room because a process holds them open."""
    yield from _hidden("logs.deleted.open", seen.hidden_processes)
    for each in seen.deleted:
        if each.held_bytes < limits.deleted_mib * MIB:
            continue
        who = each.unit or f"process {each.pid}"
        yield Finding(
            id="logs.deleted.open",
            subject=each.path,
            status=Status.WARN,
            observed=each.held_bytes // MIB,
            threshold=limits.deleted_mib,
            unit="MiB",
            summary=f"{each.path} is deleted and {who} (pid {each.pid}) still holds its "
            f"{each.held_bytes // MIB} MiB.",
            fix=_again(each.unit, each.pid),
        )


def _twice(seen: Seen) -> Iterator[Finding]:
    """Logs that two stanzas find: logrotate takes the first and skips the other as a whole."""
    first: dict[str, Block] = {}
    for block, files in zip(seen.configuration.blocks, seen.matched, strict=True):
        for path in dict.fromkeys(files):
            before = first.setdefault(path, block)
            if before is not block:
                yield Finding(
                    id="logs.path.twice",
                    subject=path,
                    status=Status.CRIT,
                    observed=f"{before.file}:{before.line}, {block.file}:{block.line}",
                    summary=f"{path} is in {before.file} and {block.file}: logrotate skips one of them.",
                    fix=f"take it out of one of them, or declare replaces: {before.file}",
                )


def _empty(seen: Seen) -> Iterator[Finding]:
    """Declared stanzas that find nothing, and others whose directories are not even there."""
    folders = {folder.path for folder in seen.folders}
    for block, files in zip(seen.configuration.blocks, seen.matched, strict=True):
        ours = block.file in seen.own_files
        possible = any(os.path.dirname(pattern) in folders for pattern in block.patterns)  # noqa: PTH120
        if files or (possible and not ours):
            continue
        yield Finding(
            id="logs.stanza.empty",
            subject=f"{block.file}:{block.line}",
            status=Status.WARN,
            observed=0,
            unit="files",
            summary=f"{' '.join(block.patterns)} in {block.file} finds no file; missingok hides that.",
            fix="mend the path, or remove the stanza",
        )


def _insecure(seen: Seen) -> Iterator[Finding]:
    """Directories that logrotate passes over because others than root may write them, without su."""
    unsafe = {f.path for f in seen.folders if f.mode & 0o002 or (f.mode & 0o020 and f.gid != 0)}
    for block, files in zip(seen.configuration.blocks, seen.matched, strict=True):
        if "su" in block.directives or "su" in seen.configuration.globals:
            continue
        for folder in sorted({os.path.dirname(path) for path in files} & unsafe):  # noqa: PTH120
            yield Finding(
                id="logs.directory.insecure",
                subject=folder,
                status=Status.CRIT,
                summary=f"logrotate skips the logs in {folder}: others than root may write there, and "
                f"{block.file} has no su.",
                fix=f"chmod go-w {folder}, or declare su for the stanza",
            )


def _ignored(configuration: Configuration) -> Iterator[Finding]:
    """Files of configuration that logrotate passes over, or that nobody can read."""
    for path, reason in configuration.ignored:
        yield Finding(
            id="logs.config.ignored",
            subject=path,
            status=Status.CRIT,
            summary=f"{path} is not used, because {reason}.",
            fix=f"chown root {path}; chmod 0644 {path}; logrotate --debug {path}",
        )


def _journal(journal: Journal) -> Sequence[Finding]:
    """A journal that is larger than journald.conf allows."""
    if journal.used_bytes is None:
        return [
            Finding(
                id="logs.journal.size",
                subject="journal",
                status=Status.UNKNOWN,
                summary="How much room the journal takes could not be found out.",
                fix="journalctl --disk-usage",
            )
        ]
    if journal.limit_bytes is None or journal.used_bytes <= journal.limit_bytes:
        return []
    return [
        Finding(
            id="logs.journal.size",
            subject="journal",
            status=Status.WARN,
            observed=journal.used_bytes // MIB,
            threshold=journal.limit_bytes // MIB,
            unit="MiB",
            summary=f"The journal takes {journal.used_bytes // MIB} MiB and may take "
            f"{journal.limit_bytes // MIB} MiB.",
            fix="declare log_rotation_journal_mib, or journalctl --rotate --vacuum-size",
        )
    ]
