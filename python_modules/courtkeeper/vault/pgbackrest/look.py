"""One look at a stanza: what pgBackRest lists, and what the server says. Nothing is read whole or changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from courtkeeper.findings import CourtkeeperError
from courtkeeper.vault import retention
from courtkeeper.vault.pgbackrest import info as infos
from courtkeeper.vault.pgbackrest import server as servers
from courtkeeper.vault.pgbackrest import wal
from courtkeeper.vault.pgbackrest.command import Pgbackrest, PgbackrestError
from courtkeeper.vault.pgbackrest.info import Backup, Info, Repository
from courtkeeper.vault.pgbackrest.server import Server
from courtkeeper.vault.pgbackrest.settings import Stanza
from courtkeeper.vault.pgbackrest.wal import Gap, History, Listing, Place
from courtkeeper.vault.retention import Candidate, Plan


@dataclass
class Log:
    """The log of one repository. `own`: what is missing of a backup's own, by label: it cannot be used.

    `since`: what is missing from the newest good backup to the end; `window`: of older promised points;
    `end`: the last segment that has to be there, None where nobody knows. `problem`: it could not be listed.
    """

    listing: Listing
    own: dict[str, list[Gap]] = field(default_factory=dict)
    since: list[Gap] = field(default_factory=list)
    window: list[Gap] = field(default_factory=list)
    base: Backup | None = None
    end: Place | None = None
    problem: str = ""


@dataclass
class Look:
    """What is known of a stanza at one moment. Where the server could not be asked, `unasked` says why."""

    stanza: Stanza
    info: Info
    server: Server | None
    unasked: str
    now: datetime
    logs: dict[int, Log] = field(default_factory=dict)

    def candidates(self, repository: int) -> list[Candidate]:
        """Return a repository's backups as the planner of retention sees them."""
        log = self.logs.get(repository)
        return [
            backup.candidate(whole=log is None or backup.label not in log.own)
            for backup in self.info.of(repository)
        ]

    def plan(self, repository: int) -> Plan:
        """Plan what stays in a repository."""
        return retention.plan(self.candidates(repository), self.stanza.policy.retention, now=self.now)

    def good(self, repository: int) -> list[Backup]:
        """Return the backups of a repository that can be restored, the oldest first."""
        whole = {each.id for each in retention.restorable(self.candidates(repository))}
        return [backup for backup in self.info.of(repository) if backup.label in whole]

    def foreign(self, repository: int) -> bool:
        """Tell whether the server that was asked is another one than a repository's stanza is of."""
        system = self.info.system(repository)
        return self.server is not None and system is not None and system.identifier != self.server.system

    @property
    def segment_bytes(self) -> int:
        """How large a segment is; what nearly all servers have where this one was not asked."""
        return self.server.segment_bytes if self.server else wal.SEGMENT_BYTES


def look(program: Pgbackrest, *, now: datetime) -> Look:
    """Look at a stanza. Raises PgbackrestError where pgBackRest itself cannot be asked.

    The server is asked first: what was finished then, and not waiting, has to be in every listing after it.
    """
    stanza = program.stanza
    server, unasked = None, ""
    try:
        server = servers.look(stanza)
    except CourtkeeperError as error:
        unasked = str(error)
    info = infos.parsed(program.ask("info", "--output=json"), stanza.name)
    seen = Look(stanza=stanza, info=info, server=server, unasked=unasked, now=now)
    for repository in info.repositories:
        if repository.code in (infos.OK, infos.NO_BACKUP):
            seen.logs[repository.key] = _log(program, seen, repository)
    return seen


def _log(program: Pgbackrest, seen: Look, repository: Repository) -> Log:
    log = Log(listing=Listing(segments={}))
    archive = seen.info.archive(repository.key)
    try:
        _fill(program, seen, log, repository.key, archive)
    except PgbackrestError as error:
        log.problem = str(error)
    return log


def _fill(program: Pgbackrest, seen: Look, log: Log, key: int, archive: str) -> None:
    at = f"archive/{seen.stanza.name}/{archive}"
    log.listing = wal.listed(program.ask("repo-ls", f"--repo={key}", "--recurse", "--output=json", at))
    size = seen.segment_bytes
    for backup in seen.info.of(key):
        # Of another server, before an upgrade: its log is elsewhere, and was whole when it was taken.
        if backup.archive == archive and backup.wal_start and backup.wal_stop:
            stop = wal.place_of(backup.wal_stop, size)
            if missing := wal.gaps(backup.wal_start, stop, log.listing, segment_bytes=size):
                log.own[backup.label] = missing
    log.end = end = _end(seen, log.listing, key)
    usable = [backup for backup in seen.good(key) if backup.archive == archive and backup.wal_start]
    if not usable or end is None:
        return
    path = _path(program, seen, log.listing, key, archive, end.timeline)
    waiting = frozenset(seen.server.waiting) if seen.server else frozenset()

    def absent(start: str) -> list[Gap]:
        return wal.gaps(start, end, log.listing, path=path, waiting=waiting, segment_bytes=size)

    log.base = usable[-1]
    log.since = absent(log.base.wal_start)
    known = {gap.first for gap in log.since}
    for start in _promised(seen.plan(key)):
        log.window += [gap for gap in absent(start) if gap.first not in known]
        known |= {gap.first for gap in log.window}


def _promised(plan: Plan) -> Iterator[str]:
    """Give where the log has to begin for the points in time that are promised to the end."""
    yield from (span.start for span in plan.wal if not span.stop)


def _end(seen: Look, listing: Listing, key: int) -> Place | None:
    """Return the last segment that has to be there: the server knows, or else the archive's own last."""
    if seen.server and not seen.foreign(key) and (last := seen.server.last):
        return last
    return wal.newest(listing, seen.segment_bytes)


def _path(
    program: Pgbackrest, seen: Look, listing: Listing, key: int, archive: str, timeline: int
) -> History:
    """Return through which timelines the log came to the last one. Raises PgbackrestError."""
    if timeline <= 1:
        return ()
    name = f"archive/{seen.stanza.name}/{archive}/{timeline:08X}.history"
    if timeline not in listing.histories:
        raise PgbackrestError(
            f"the archive has no {timeline:08X}.history: no recovery gets to the server's timeline"
        )
    return wal.history(program.ask("repo-get", f"--repo={key}", name), seen.segment_bytes)
