"""Whether the server hands its log over to pgBackRest, and how far it is with that."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from datetime import timedelta

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import places
from courtkeeper.vault.pgbackrest.look import Look
from courtkeeper.vault.pgbackrest.server import Server


def findings(seen: Look) -> Iterator[Finding]:
    """Judge whether the server hands its log over, and how far it is with that."""
    about = seen.stanza.name
    server = seen.server
    if server is None:
        yield finding("archiving", about, Status.UNKNOWN, f"The server could not be asked: {seen.unasked}")
        return
    if problem := refused(server, about):
        yield problem
        return
    minutes = seen.stanza.policy.archive_minutes
    waited = (server.now - server.waiting_since) / timedelta(minutes=1) if server.waiting_since else 0.0
    failing = server.failed_at is not None and (
        server.archived_at is None or server.failed_at > server.archived_at
    )
    if failing:
        last = (
            f"since {places.moment(server.archived_at)} nothing was archived"
            if server.archived_at
            else "nothing ever was"
        )
        yield finding(
            "archiving", about, Status.CRIT,
            f"archive_command fails: {server.failed} is refused, {last}, {len(server.waiting)} wait.",
            observed=len(server.waiting), threshold=0, unit="segments",
            fix="pgbackrest check, and the server's log, say why; until then its disk fills up",
        )  # fmt: skip
        return
    late = waited > minutes
    yield finding(
        "archiving", about, Status.CRIT if late else Status.OK,
        f"Archiving lags: {len(server.waiting)} finished segments wait, the first for {waited:.0f} minutes."
        if late
        else f"The server archives; {len(server.waiting) or 'no'} finished segments wait.",
        observed=round(waited, 1), threshold=minutes, unit="minutes",
        fix="see whether the repositories can be reached, and whether archive-push keeps up" if late else "",
    )  # fmt: skip


def refused(server: Server, stanza: str) -> Finding | None:
    if not server.archives:
        return finding(
            "archiving", stanza, Status.CRIT,
            "archive_mode is off: only what is in a backup can be restored, and pgBackRest takes none.",
            fix="let the playbook postgres_backup restart the server (postgres_backup_restart), once",
        )  # fmt: skip
    if server.archive_library:
        return finding(
            "archiving", stanza, Status.CRIT,
            f"archive_library ({server.archive_library}) stands in for archive_command, not pgBackRest.",
            fix="ALTER SYSTEM SET archive_library = ''; SELECT pg_reload_conf();",
        )  # fmt: skip
    if not pushes(server.archive_command, stanza):
        return finding(
            "archiving", stanza, Status.CRIT,
            "archive_command does not hand the log to this stanza of pgBackRest.",
            fix="run the playbook postgres_backup, and look for what sets it otherwise (pg_file_settings)",
        )  # fmt: skip
    return None


def pushes(command: str, stanza: str) -> bool:
    """Tell whether an archive_command hands the log to a stanza of pgBackRest."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    pairs = [*words, *(f"{word}={following}" for word, following in itertools.pairwise(words))]
    return "archive-push" in words and f"--stanza={stanza}" in pairs


def finding(
    name: str,
    about: str,
    status: Status,
    summary: str,
    *,
    observed: float | None = None,
    threshold: float | None = None,
    unit: str = "",
    fix: str = "",
) -> Finding:
    """Return the finding `pgbackrest.<name>`."""
    return Finding(
        id=f"pgbackrest.{name}",
        subject=about,
        status=status,
        summary=summary,
        observed=observed,
        threshold=threshold,
        unit=unit,
        fix=fix,
    )
