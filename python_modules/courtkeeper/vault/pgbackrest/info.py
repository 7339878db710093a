"""What `pgbackrest info --output=json` says: repositories, backups, archives."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from courtkeeper.vault.pgbackrest.command import PgbackrestError
from courtkeeper.vault.retention import Candidate

# Annotations of ours beside a backup, which every host that reads the repository sees.
DAMAGED = "courtkeeper-damaged"
PROVEN = "courtkeeper-proven"
HELD = "courtkeeper-held"

OK, NO_PATH, NO_BACKUP, NO_DATA = 0, 1, 2, 3
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_LABEL = re.compile(r"\d{8}-\d{6}F(_\d{8}-\d{6}[DI])?")
_STAMP = "%Y%m%dT%H%M%SZ"


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """One repository of a stanza. `code` 0 is well, 1 and 3: no stanza, 2: no backup, others: a fault."""

    key: int
    code: int
    message: str
    cipher: str


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """One backup in one repository. `error`: pages of the server were damaged when it was taken."""

    label: str
    repository: int
    kind: str
    started_at: datetime
    taken_at: datetime
    error: bool
    needs: tuple[str, ...]
    wal_start: str
    wal_stop: str
    archive: str
    size: int
    stored: int
    annotations: dict[str, str]

    @property
    def damaged(self) -> bool:
        """Whether `verify` found its files damaged."""
        return DAMAGED in self.annotations

    @property
    def proven_at(self) -> datetime | None:
        """When a drill restored it last."""
        try:
            return datetime.strptime(self.annotations.get(PROVEN, ""), _STAMP).replace(tzinfo=UTC)
        except ValueError:
            return None

    def candidate(self, *, whole: bool = True) -> Candidate:
        """Return it as the planner of retention sees it. `whole`: its own log is all there."""
        return Candidate(
            id=self.label,
            taken_at=self.taken_at,
            good=whole and not self.error and not self.damaged,
            proven_at=self.proven_at,
            held=HELD in self.annotations,
            needs=self.needs,
            wal_start=self.wal_start,
            wal_stop=self.wal_stop,
        )


class System(msgspec.Struct, frozen=True, kw_only=True):
    """The server that a repository's stanza is of, as it was at stanza-create or stanza-upgrade."""

    repository: int
    number: int
    identifier: int
    version: str


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """One stanza. Backups are the oldest first; of systems the newest of a repository counts."""

    repositories: tuple[Repository, ...]
    backups: tuple[Backup, ...]
    systems: tuple[System, ...]
    busy: bool = False

    def of(self, repository: int) -> list[Backup]:
        """Return the backups of one repository."""
        return [backup for backup in self.backups if backup.repository == repository]

    def system(self, repository: int) -> System | None:
        """Return the server that a repository's stanza is of now."""
        found = [system for system in self.systems if system.repository == repository]
        return max(found, key=lambda system: system.number, default=None)

    def archive(self, repository: int) -> str:
        """`15-1`: where the log of today's server is in a repository; empty where there is no stanza."""
        system = self.system(repository)
        return f"{system.version}-{system.number}" if system else ""


def stamp(now: datetime) -> str:
    """Return a moment as our annotations hold it."""
    return now.astimezone(UTC).strftime(_STAMP)


class _Status(msgspec.Struct):
    code: int
    message: str = ""
    lock: dict[str, Any] = msgspec.field(default_factory=dict)


class _Repo(msgspec.Struct):
    key: int
    status: _Status
    cipher: str = "none"


class _Database(msgspec.Struct, rename="kebab"):
    id: int
    repo_key: int = 1


class _System(msgspec.Struct, rename="kebab"):
    id: int
    system_id: int
    version: str
    repo_key: int = 1


class _Span(msgspec.Struct):
    start: str | None = None
    stop: str | None = None


class _Times(msgspec.Struct):
    start: int
    stop: int


class _Sizes(msgspec.Struct):
    size: int = 0
    repository: dict[str, Any] = msgspec.field(default_factory=dict)


class _Backup(msgspec.Struct):
    label: str
    type: str
    timestamp: _Times
    database: _Database
    archive: _Span = msgspec.field(default_factory=_Span)
    error: bool | None = False
    prior: str | None = None
    reference: list[str] | None = None
    info: _Sizes = msgspec.field(default_factory=_Sizes)
    annotation: dict[str, str] | None = None


class _Stanza(msgspec.Struct):
    name: str
    repo: list[_Repo]
    backup: list[_Backup]
    db: list[_System]
    status: _Status | None = None


def parsed(text: str, stanza: str) -> Info:
    """Return what info says of `stanza`. Raises PgbackrestError for what is no such thing."""
    try:
        stanzas = msgspec.json.decode(text, type=list[_Stanza])
        found = next((each for each in stanzas if each.name == stanza), None)
        if found is None:
            raise PgbackrestError(
                f"pgbackrest info does not know the stanza {stanza}: mend its configuration"
            )
        systems = {(each.repo_key, each.id): each for each in found.db}
        return Info(
            repositories=tuple(
                Repository(
                    key=each.key, code=each.status.code, message=each.status.message[:300], cipher=each.cipher
                )
                for each in found.repo
            ),
            backups=tuple(
                sorted((_backup(each, systems) for each in found.backup), key=lambda each: each.taken_at)
            ),
            systems=tuple(
                System(
                    repository=each.repo_key,
                    number=each.id,
                    identifier=each.system_id,
                    version=each.version,
                )
                for each in found.db
            ),
            busy=_held(found.status),
        )
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise PgbackrestError(f"pgbackrest info says what cannot be read: {str(error)[:200]}") from error


def _backup(told: _Backup, systems: dict[tuple[int, int], _System]) -> Backup:
    if not _LABEL.fullmatch(told.label):
        raise ValueError(f"{told.label[:40]!r} is no label of a backup")
    system = systems.get((told.database.repo_key, told.database.id))
    stored = told.info.repository.get("size")
    return Backup(
        label=told.label,
        repository=told.database.repo_key,
        kind=told.type,
        started_at=datetime.fromtimestamp(told.timestamp.start, UTC),
        taken_at=datetime.fromtimestamp(told.timestamp.stop, UTC),
        error=bool(told.error),
        needs=tuple(dict.fromkeys([*(told.reference or ()), *([told.prior] if told.prior else ())])),
        wal_start=_segment(told.archive.start),
        wal_stop=_segment(told.archive.stop),
        archive=f"{system.version}-{system.id}" if system else "",
        size=told.info.size,
        stored=stored if isinstance(stored, int) else 0,
        annotations=told.annotation or {},
    )


def _segment(name: str | None) -> str:
    """Return a segment's name; empty where a backup was taken without its log."""
    if not name:
        return ""
    if not _SEGMENT.fullmatch(name):
        raise ValueError(f"{name[:40]!r} is no segment of write-ahead log")
    return name


def _held(status: _Status | None) -> bool:
    backup = status.lock.get("backup") if status else None
    return isinstance(backup, dict) and backup.get("held") is True
