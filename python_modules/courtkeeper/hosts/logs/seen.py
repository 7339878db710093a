"""What can be seen of a host's logs, before anybody judges it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from courtkeeper.hosts.logs.config import Configuration


class Log(msgspec.Struct, frozen=True):
    """One file below a root; `held_bytes` is what it takes of its disk."""

    path: str
    size: int
    held_bytes: int


class Holder(msgspec.Struct, frozen=True):
    """One deleted file that a process holds open."""

    path: str
    held_bytes: int
    pid: int
    unit: str


class Written(msgspec.Struct, frozen=True):
    """One rotated file that a process still writes, and the log that it was rotated from."""

    path: str
    log: str
    pid: int
    unit: str


class Folder(msgspec.Struct, frozen=True):
    """Directory of a pattern: group and mode, for logrotate's own test."""

    path: str
    gid: int
    mode: int


class Run(msgspec.Struct, frozen=True):
    """logrotate.service's last result ('' if it never ran), what it said, and whether its timer is active."""

    timer_active: bool
    result: str
    errors: list[str]


class Journal(msgspec.Struct, frozen=True):
    """What the journal takes of the disk, and how much it may; None where that is not known."""

    used_bytes: int | None
    limit_bytes: int | None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is judged. `matched` holds the files that each stanza's patterns find now."""

    configuration: Configuration
    matched: list[list[str]]
    logs: list[Log]
    folders: list[Folder]
    deleted: list[Holder]
    written: list[Written]
    hidden_processes: int
    unseen: list[str]
    status: dict[str, datetime] | None
    status_age_hours: float | None
    status_problem: str
    run: Run
    journal: Journal
    own_files: list[str]
