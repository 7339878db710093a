"""AOF rewrite and snapshot (BGSAVE): started where they are due, and watched to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec
from redis import exceptions as errors

from courtkeeper.findings import Status
from courtkeeper.redis.parse import whole
from courtkeeper.redis.server import Client, parse_info, replies
from courtkeeper.redis.upkeep.said import Done, finding
from courtkeeper.redis.upkeep.settings import UpkeepSettings

Info = Mapping[str, str]

_FIRST_LOOK_S = 0.05
_LOOK_EVERY_S = 1.0
_MB = 2**20


class Work(msgspec.Struct, frozen=True):
    """One of the server's two kinds of work in the background, and its names in INFO."""

    name: str
    title: str
    command: str
    running: tuple[str, ...]
    status: str


AOF_REWRITE = Work(
    "aof_rewrite",
    "rewrite of the append-only file",
    "BGREWRITEAOF",
    ("aof_rewrite_in_progress", "aof_rewrite_scheduled"),
    "aof_last_bgrewrite_status",
)
SNAPSHOT = Work("snapshot", "snapshot", "BGSAVE", ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status")


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """How the server's work is waited for, and where it writes to (empty: unknown)."""

    settings: UpkeepSettings
    subject: str
    directory: str = ""
    check_mode: bool = False
    tell: Callable[[str], None] = lambda _text: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.time


def aof_rewrite(client: Client, watch: Watch) -> Done:
    """Rewrite the append-only file where it has grown, and see how it ends. Raises redis' errors."""
    info = _settled(client, AOF_REWRITE, watch)
    if info.get("aof_enabled") != "1":
        return _said(AOF_REWRITE, watch, Status.SKIPPED, "This server keeps no append-only file.")
    size, base = whole(info.get("aof_current_size")), whole(info.get("aof_base_size"))
    growth = (size - base) / max(base, 1) * 100
    told = watch.settings
    due = growth > told.aof_growth_percent and size > told.aof_least_mb * _MB
    failed = info.get(AOF_REWRITE.status) == "err"
    if not due and not failed:
        text = (
            f"The append-only file has {size / _MB:,.1f} MB, {max(0, size - base) / _MB:,.1f} MB of it new."
        )
        return _said(AOF_REWRITE, watch, Status.OK, text)
    why = f"it has {size / _MB:,.1f} MB, {min(growth, 1e6):,.0f} % more than after the last rewrite"
    return _work(client, AOF_REWRITE, watch, "the last one failed" if failed else why)


def snapshot(client: Client, watch: Watch, save_points: str | None) -> Done:
    """Save a snapshot where the server is to keep some and the last is old, and see how it ends.

    `save_points` is CONFIG GET save; None where it may not be read. A server without any is left alone: its
    owner may not want one, as it can bring back what was invalidated. Raises redis' errors.
    """
    if save_points == "":
        return _said(SNAPSHOT, watch, Status.SKIPPED, "This server keeps no snapshots (save is empty).")
    info = _settled(client, SNAPSHOT, watch)
    age_s = watch.now() - whole(info.get("rdb_last_save_time"))
    changes = whole(info.get("rdb_changes_since_last_save"))
    failed = info.get(SNAPSHOT.status) == "err"
    if save_points is None and not failed:
        text = "Whether this server is to keep snapshots cannot be read: CONFIG GET save is refused."
        return _said(SNAPSHOT, watch, Status.SKIPPED, text, "grant it by ACL SETUSER … +config|get")
    if not failed and (not changes or age_s <= watch.settings.snapshot_max_age_s):
        text = f"The last snapshot is {max(0.0, age_s):,.0f} s old, with {changes:,} changes since."
        return _said(SNAPSHOT, watch, Status.OK, text)
    why = f"the last one is {age_s:,.0f} s old, with {changes:,} changes since"
    return _work(client, SNAPSHOT, watch, "the last one failed" if failed else why)


def _work(client: Client, work: Work, watch: Watch, why: str) -> Done:
    """Start it (in check mode only say so), wait for its end, and tell how it ended."""
    action = f"{work.command}: a new {work.title} ({why})"
    if watch.check_mode:
        return _said(
            work, watch, Status.WARN, f"A new {work.title} is due: {why}.", work.command, action=action
        )
    began = watch.clock()
    (answer,) = replies(client, [(work.command,)])
    if _is_busy(answer):
        _settled(client, AOF_REWRITE, watch)
        began = watch.clock()
        (answer,) = replies(client, [(work.command,)])
    if isinstance(answer, errors.NoPermissionError):
        raise answer
    if _is_busy(answer):
        text = f"A new {work.title} is due ({why}), but another child process of the server is at work."
        return _said(work, watch, Status.SKIPPED, text, "run the upkeep again when that has ended")
    if isinstance(answer, errors.ResponseError) and "in progress" not in str(answer):
        return _failed(work, watch, f"refused with: {' '.join(str(answer).split())[:160]}")
    info = _settled(client, work, watch)
    took_s = watch.clock() - began
    if _running(info, work):
        text = f"The {work.title} still runs after {took_s:,.0f} s: its end was not seen."
        return _said(work, watch, Status.WARN, text, "look at the server's disk and log", action=action)
    if info.get(work.status) != "ok":
        return _failed(work, watch, f"failed after {took_s:.1f} s")
    fork_ms = whole(info.get("latest_fork_usec")) / 1000
    text = f"A new {work.title} was due ({why}) and took {took_s:.1f} s; its fork took {fork_ms:.1f} ms."
    return _said(work, watch, Status.OK, text, applied=work.command, action=action)


def _settled(client: Client, work: Work, watch: Watch) -> Info:
    """Return INFO once nothing of `work` runs any more, or when the time for it is over."""
    began, pause = watch.clock(), _FIRST_LOOK_S
    while True:
        (answer,) = replies(client, [("INFO",)])
        if isinstance(answer, errors.ResponseError):
            raise answer
        info = parse_info(answer)
        waited_s = watch.clock() - began
        if not _running(info, work) or waited_s > watch.settings.persistence_timeout_s:
            return info
        watch.tell(f"the {work.title} has run for {waited_s:,.0f} s")
        watch.sleep(pause)
        pause = min(pause * 2, _LOOK_EVERY_S)


def _running(info: Info, work: Work) -> bool:
    return any(info.get(name, "0") != "0" for name in work.running)


def _is_busy(answer: object) -> bool:
    """Whether the server is at other work in the background: it does one at a time."""
    return isinstance(answer, errors.ResponseError) and "another child process" in str(answer).lower()


def _failed(work: Work, watch: Watch, how: str) -> Done:
    where = watch.directory or "its directory (CONFIG GET dir)"
    return _said(
        work,
        watch,
        Status.CRIT,
        f"The {work.title} {how}; the data since the last good one are not safe.",
        f"see that the server can write to {where}, that its disk has room and memory for a fork is left; "
        "its log names the reason",
    )


def _said(
    work: Work, watch: Watch, status: Status, text: str, fix: str = "", *, applied: str = "", action: str = ""
) -> Done:
    found = finding(
        work.name,
        watch.subject,
        status,
        text,
        fix,
        applied=applied,
        undo="none needed" if applied else "",
    )
    return Done(found, action)
