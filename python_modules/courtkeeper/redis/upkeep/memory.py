"""How full the memory is, and giving back to the system what the allocator holds and nobody uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import msgspec
from redis import exceptions as errors

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.parse import whole
from courtkeeper.redis.server import Client, parse_info, replies
from courtkeeper.redis.upkeep.said import finding
from courtkeeper.redis.upkeep.settings import UpkeepSettings

Info = Mapping[str, str]

_MB = 2**20
# The server reads its allocator's numbers ten times a second: a new one comes within that.
_STATS_S = 0.5
_LOOK_EVERY_S = 0.05
# Less is noise between two readings, and no change of the world.
_GAIN = 1 * _MB


class Purge(msgspec.Struct, frozen=True):
    """What a purge did: its finding, the bytes given back, and what was or would be done (empty: nothing)."""

    finding: Finding
    freed: int = 0
    action: str = ""


def alert(info: Info, subject: str, settings: UpkeepSettings) -> Finding:
    """Judge the memory in use against maxmemory, or where there is none against the host's."""
    used, limit = whole(info.get("used_memory")), whole(info.get("maxmemory"))
    of = "maxmemory"
    if not limit:
        limit, of = whole(info.get("total_system_memory")), "the host's memory, as maxmemory is not set"
    if not limit:
        return finding(
            "memory", subject, Status.UNKNOWN, "The server does not say how much memory it may use."
        )
    percent = used / limit * 100
    policy = info.get("maxmemory_policy", "noeviction")
    limits = ((Status.CRIT, settings.memory_crit_percent), (Status.WARN, settings.memory_warn_percent))
    status, threshold = next(
        ((status, limit) for status, limit in limits if percent >= limit),
        (Status.OK, settings.memory_warn_percent),
    )
    then = "writes are refused" if policy == "noeviction" else f"keys are evicted ({policy})"
    end = f": at 100 % {then}" if status is not Status.OK else ""
    return finding(
        "memory",
        subject,
        status,
        f"{used / _MB:,.1f} MB are used, {percent:.1f} % of {of}{end}.",
        "raise maxmemory, give keys a shorter time to live, or remove what is big" if end else "",
        observed=round(percent, 1),
        threshold=threshold,
        unit="%",
    )


def purge(
    client: Client,
    subject: str,
    settings: UpkeepSettings,
    *,
    check_mode: bool,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Purge:
    """Give memory back where the allocator holds much more than is in use; measured before and after.

    Raises redis' errors.
    """
    info = _info(client)
    allocator = info.get("mem_allocator", "")
    if "jemalloc" not in allocator:
        text = (
            f"The allocator ({allocator or 'unknown'}) gives no memory back when told to: only jemalloc does."
        )
        return Purge(finding("memory_purge", subject, Status.SKIPPED, text))
    held, active = whole(info.get("allocator_resident")), whole(info.get("allocator_active"))
    idle = max(0, held - active)
    if idle <= settings.purge_over_mb * _MB or held <= active * settings.purge_over_ratio:
        text = f"The allocator holds {idle / _MB:,.1f} MB that nobody uses: not enough to purge."
        return Purge(finding("memory_purge", subject, Status.OK, text, observed=idle, unit="bytes"))
    action = f"MEMORY PURGE: the allocator holds {idle / _MB:,.1f} MB that nobody uses"
    if check_mode:
        text = f"The allocator holds {idle / _MB:,.1f} MB that nobody uses."
        found = finding(
            "memory_purge", subject, Status.WARN, text, "MEMORY PURGE", observed=idle, unit="bytes"
        )
        return Purge(found, 0, action)
    (answer,) = replies(client, [("MEMORY", "PURGE")])
    if isinstance(answer, errors.ResponseError):
        raise answer
    after = _after(client, held, clock, sleep)
    return _purged(subject, held, after, action)


def _after(client: Client, held: int, clock: Callable[[], float], sleep: Callable[[float], None]) -> int:
    """Return what the allocator holds once the server has read its numbers anew."""
    until = clock() + _STATS_S
    while (after := whole(_info(client).get("allocator_resident"))) >= held and clock() < until:
        sleep(_LOOK_EVERY_S)
    return after


def _purged(subject: str, held: int, after: int, action: str) -> Purge:
    freed = held - after
    sizes = f"{held / _MB:,.1f} MB before and {after / _MB:,.1f} MB after it"
    if freed < _GAIN:
        text = f"MEMORY PURGE gave nothing back: the allocator held {sizes}."
        fix = "if fragmentation stays high, let the server restart in a quiet hour, or use activedefrag"
        return Purge(finding("memory_purge", subject, Status.WARN, text, fix, observed=held, unit="bytes"))
    text = f"MEMORY PURGE gave {freed / _MB:,.1f} MB back: the allocator held {sizes}."
    found = finding(
        "memory_purge",
        subject,
        Status.OK,
        text,
        observed=after,
        unit="bytes",
        applied="MEMORY PURGE",
        undo="none needed",
    )
    return Purge(found, freed, action)


def _info(client: Client) -> Info:
    (answer,) = replies(client, [("INFO", "memory")])
    if isinstance(answer, errors.ResponseError):
        raise answer
    return parse_info(answer)
