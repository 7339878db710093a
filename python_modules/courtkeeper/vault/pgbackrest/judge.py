"""What a look at a stanza means: findings about its repositories, its log and its server's archiving."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from courtkeeper.findings import Finding, Status
from courtkeeper.vault import places, retention_findings
from courtkeeper.vault.pgbackrest import archiving
from courtkeeper.vault.pgbackrest import info as infos
from courtkeeper.vault.pgbackrest.archiving import finding
from courtkeeper.vault.pgbackrest.info import Repository
from courtkeeper.vault.pgbackrest.look import Log, Look
from courtkeeper.vault.pgbackrest.state import State
from courtkeeper.vault.pgbackrest.wal import Gap

_HOUR = timedelta(hours=1)
_SHOWN = 3
_CLOCK = timedelta(minutes=10)


def findings(seen: Look, state: State) -> Iterator[Finding]:
    """Judge all that was looked at. `state` is what earlier runs remember, such as the last reading."""
    if not seen.info.repositories:
        yield finding("stanza", seen.stanza.name, Status.CRIT, "No repository is configured for it.")
    for repository in seen.info.repositories:
        yield from _repository(seen, state, repository)
    yield from archiving.findings(seen)


def subject(seen: Look, repository: int) -> str:
    """Return what a finding about one repository is about: `main on repo1`."""
    return f"{seen.stanza.name} on repo{repository}"


def _repository(seen: Look, state: State, repository: Repository) -> Iterator[Finding]:
    key = repository.key
    about = subject(seen, key)
    stanza = _stanza(seen, repository)
    yield stanza
    if stanza.status is Status.CRIT:
        return
    yield _fresh(seen, key)
    yield from _pages(seen, key)
    yield from _log(seen, key)
    yield _verified(seen, state, key)
    if seen.info.of(key):
        yield _proven(seen, key)
    yield from _encryption(about, repository)
    yield from retention_findings.findings(seen.plan(key), about)


def _stanza(seen: Look, repository: Repository) -> Finding:
    about, key = subject(seen, repository.key), repository.key
    if repository.code in (infos.NO_PATH, infos.NO_DATA):
        return finding(
            "stanza", about, Status.CRIT, "It has no such stanza: nothing is backed up or archived.",
            fix="run the playbook postgres_backup, or pgbackrest stanza-create",
        )  # fmt: skip
    if repository.code not in (infos.OK, infos.NO_BACKUP):
        message = " ".join(repository.message.split()) or "it does not say why"
        return finding(
            "stanza", about, Status.CRIT, f"The repository cannot be read: {message[:200].rstrip('.')}.",
            fix="mend the repository, or its place and keys in pgBackRest's configuration",
        )  # fmt: skip
    system = seen.info.system(key)
    if seen.server and system and seen.foreign(key):
        return finding(
            "stanza", about, Status.CRIT,
            f"The stanza is of another server ({system.version}, {system.identifier}) than the one here "
            f"({seen.server.version}, {seen.server.system}): its log is refused.",
            fix="after pg_upgrade: pgbackrest stanza-upgrade; else mend the address of the server",
        )  # fmt: skip
    return finding("stanza", about, Status.OK, "The stanza is there and can be read.")


def _fresh(seen: Look, key: int) -> Finding:
    about, limit = subject(seen, key), seen.stanza.policy.fresh_hours
    good = [backup for backup in seen.good(key) if backup.taken_at <= seen.now + _CLOCK]
    every = seen.info.of(key)
    fix = "run the playbook postgres_backup now, and look at why it did not run"
    if not good:
        text = f"None of its {len(every)} backups can be restored." if every else "There is no backup of it."
        return finding("fresh", about, Status.CRIT, text, observed=0, unit="backups", fix=fix)
    newest = good[-1]
    age = (seen.now - newest.taken_at) / _HOUR
    old = places.age(newest.taken_at, seen.now)
    what = f"the newest good one, {newest.label}, is {old} old"
    return finding(
        "fresh", about,
        Status.OK if age <= limit else Status.CRIT,
        f"{what[0].upper()}{what[1:]}." if age <= limit else f"A backup is missing: {what}.",
        observed=round(max(age, 0), 2), threshold=limit, unit="hours", fix="" if age <= limit else fix,
    )  # fmt: skip


def _pages(seen: Look, key: int) -> Iterator[Finding]:
    """A backup with damaged pages ends well and exits 0: only `info` says so."""
    every = seen.info.of(key)
    if not every:
        return
    bad = [backup for backup in every if backup.error]
    about = subject(seen, key)
    if not bad:
        checked = seen.server is None or seen.server.checksums
        yield finding(
            "pages", about, Status.OK if checked else Status.WARN,
            "No backup has a damaged page."
            if checked
            else "The server has no data checksums, so no backup sees a damaged page.",
            observed=0, unit="backups",
            fix="" if checked else "stop the server and run pg_checksums --enable",
        )  # fmt: skip
        return
    newest = every[-1].error
    clean = [backup for backup in every if not backup.error]
    last = f" The last without is {clean[-1].label}." if clean else " None is without."
    named = _named([backup.label for backup in bad[::-1]])
    yield finding(
        "pages", about, Status.CRIT if newest else Status.WARN,
        f"Pages of the server were damaged when {named} was taken.{last}",
        observed=len(bad), threshold=0, unit="backups",
        fix=f"pgbackrest --stanza={seen.stanza.name} --repo={key} --set={bad[-1].label} info names files; "
        "check the database (playbook database_integrity) and its disk; restore what is damaged from "
        "the last backup without"
        if newest
        else "nothing, if the database was mended: they go by retention",
    )  # fmt: skip


def _log(seen: Look, key: int) -> Iterator[Finding]:
    log = seen.logs.get(key)
    if log is None:
        return
    about = subject(seen, key)
    if log.problem:
        yield finding("wal", about, Status.CRIT, f"The log cannot be looked at: {log.problem.rstrip('.')}.")
        return
    for label, gaps in log.own.items():
        yield finding(
            "wal", f"{about}: {label}", Status.WARN if _newest_is_good(seen, key) else Status.CRIT,
            f"The backup cannot be restored: of its own log {_gaps(gaps)} is missing.",
            observed=sum(gap.count for gap in gaps), threshold=0, unit="segments",
            fix="take a full backup now, and look for who removed it",
        )  # fmt: skip
    if log.base is None:
        return
    yield from _continuity(seen, key, log)


def _continuity(seen: Look, key: int, log: Log) -> Iterator[Finding]:
    about = subject(seen, key)
    behind = _behind(seen, key, log)
    inside = [gap for gap in log.since if gap is not behind]
    if behind is not None:
        yield finding(
            "behind", about, Status.WARN,
            f"It fell behind: {behind.text} of the log is in another repository and not in this one"
            f"{_reached(behind)}.",
            observed=behind.count, threshold=0, unit="segments",
            fix="take a backup now; then look for who removed them, and at why the repository missed them",
        )  # fmt: skip
    if inside:
        yield finding(
            "wal", about, Status.CRIT,
            f"{_gaps(inside)} is missing after {log.base.label if log.base else 'the last backup'}: a "
            f"recovery ends there and comes up without what was committed later{_reached(inside[0])}.",
            observed=sum(gap.count for gap in inside), threshold=0, unit="segments",
            fix="take a backup now, and look for who removed it",
        )  # fmt: skip
    if log.window:
        yield finding(
            "window", about, Status.WARN,
            f"{_gaps(log.window)} is missing: not every promised point in time can be had.",
            observed=sum(gap.count for gap in log.window), threshold=0, unit="segments",
            fix="nothing brings them back; backups after the gap are whole",
        )  # fmt: skip
    if not log.since:
        to = log.end.name(seen.segment_bytes) if log.end else "the end"
        known = seen.server is not None and seen.server.last is not None and not seen.foreign(key)
        yield finding(
            "wal", about, Status.OK if known else Status.UNKNOWN,
            f"From {log.base.label if log.base else ''} to {to} no segment is missing"
            + ("." if known else ", but where the server is could not be asked, so the end is not certain."),
            observed=0, threshold=0, unit="segments",
        )  # fmt: skip


def _behind(seen: Look, key: int, log: Log) -> Gap | None:
    """Return the gap that reaches to the end while another repository has it: this one fell behind."""
    if not log.since or log.end is None or log.since[-1].last != log.end.name(seen.segment_bytes):
        return None
    return log.since[-1] if len(seen.logs) > 1 and _elsewhere(seen, key, log.since[-1]) else None


def _elsewhere(seen: Look, key: int, gap: Gap) -> bool:
    return any(
        gap.first in log.listing.segments and gap.last in log.listing.segments
        for other, log in seen.logs.items()
        if other != key
    )


def _reached(gap: Gap) -> str:
    return (
        f" (what was archived before it reaches to {places.moment(gap.before_at)})" if gap.before_at else ""
    )


def _verified(seen: Look, state: State, key: int) -> Finding:
    """`verify` exits 0 for a damaged repository; what its text said is kept, and marks lie beside backups."""
    about = subject(seen, key)
    last = state.verified.get(str(key))
    bad = [backup.label for backup in seen.info.of(key) if backup.damaged]
    if bad or (last and last.good is False):
        files = f": {_named(last.files)}" if last and last.files else ""
        log = f"; {last.log_lost} segments of log" if last and last.log_lost else ""
        whom = f"{_named(bad[::-1])} cannot be trusted" if bad else "the repository is damaged"
        # Once the newest is whole again, what is left is old and a sign of a disk to look at.
        healed = bool(bad) and _newest_is_good(seen, key) and not (last and last.log_lost)
        return finding(
            "verify", about, Status.WARN if healed else Status.CRIT,
            f"Files in the repository are damaged, {whom}{files}{log}.",
            observed=len(bad), threshold=0, unit="backups",
            fix="take a full backup now, and look at its disk or store; restore from another repository",
        )  # fmt: skip
    hours = seen.stanza.policy.verify_hours
    if not seen.info.of(key):
        return finding("verify", about, Status.SKIPPED, "There is nothing to read yet.")
    if last is None:
        text = "Its files were never read, so nobody knows whether they are what was written."
        return finding("verify", about, Status.UNKNOWN, text, fix="run the playbook postgres_backup")
    if last.good is None:
        return finding(
            "verify",
            about,
            Status.UNKNOWN,
            f"Its files could not be read: {last.problem or 'verify says nothing'}",
        )
    age = (seen.now - last.at) / _HOUR
    late = hours > 0 and age > 2 * hours + 24
    return finding(
        "verify", about, Status.WARN if late else Status.OK,
        f"All files were read {places.age(last.at, seen.now)} ago and are what was written.",
        observed=round(max(age, 0), 2), unit="hours", fix="run the playbook postgres_backup" if late else "",
    )  # fmt: skip


def _proven(seen: Look, key: int) -> Finding:
    times = [backup.proven_at for backup in seen.info.of(key) if backup.proven_at]
    about, days = subject(seen, key), seen.stanza.policy.proven_days
    if not times:
        return finding(
            "proven", about, Status.WARN, "None of its backups was ever restored by a drill: a hope.",
            fix="run the drill",
        )  # fmt: skip
    good = seen.now - max(times) <= timedelta(days=days)
    return finding(
        "proven", about, Status.OK if good else Status.WARN,
        f"A drill last restored one of its backups {places.age(max(times), seen.now)} ago.",
        observed=round((seen.now - max(times)) / timedelta(days=1), 1), threshold=days, unit="days",
        fix="" if good else "run the drill",
    )  # fmt: skip


def _encryption(about: str, repository: Repository) -> Iterator[Finding]:
    if repository.cipher == "none":
        yield finding(
            "encryption", about, Status.WARN, "It is not encrypted: who reads it has the database.",
            fix="give it a cipher_pass; pgBackRest encrypts a new repository only, so also a new path",
        )  # fmt: skip


def _newest_is_good(seen: Look, key: int) -> bool:
    good = seen.good(key)
    return bool(good) and good[-1] is seen.info.of(key)[-1]


def _gaps(gaps: Sequence[Gap]) -> str:
    more = f" and {len(gaps) - _SHOWN} more" if len(gaps) > _SHOWN else ""
    return ", ".join(gap.text for gap in gaps[:_SHOWN]) + more


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
