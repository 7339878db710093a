"""What is to be said and done about a declared pattern: its hit rate, its removal, its time to live."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.keyspace import AGES_S, Keyspace
from courtkeeper.redis.upkeep.globs import Glob
from courtkeeper.redis.upkeep.rates import Rate, estimated
from courtkeeper.redis.upkeep.said import Done, finding
from courtkeeper.redis.upkeep.settings import Declared, UpkeepSettings
from courtkeeper.redis.upkeep.walk import Seen


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A declared pattern and its rate: `how` is `measured`, `estimated`, or `unknown` with no rate."""

    declared: Declared
    rate: Rate | None = None
    how: str = "unknown"
    why: str = ""

    def low(self, settings: UpkeepSettings) -> bool:
        """Tell whether the rate is known and under the limit."""
        return self.rate is not None and self.rate.share < settings.least_hit_rate

    def removed(self, settings: UpkeepSettings) -> bool:
        """Tell whether its keys are to go: only on what was measured, and where that was declared."""
        return self.declared.removable and self.how == "measured" and self.low(settings)


def judged(declared: Declared, rate: Rate | None, settings: UpkeepSettings) -> Judged:
    """Return what the application's counters (`rate`; None: it counts none) say of a pattern."""
    if rate is None:
        return Judged(declared=declared, why="the application does not count its hits")
    if rate.since is None:
        return Judged(declared=declared, why="no earlier reading is kept, the next run can tell")
    if rate.requests < settings.least_requests:
        few = f"too few (under {settings.least_requests:,})"
        why = f"{rate.requests:,} requests since {moment(rate.since)} are {few}"
        return Judged(declared=declared, why=why)
    return Judged(declared=declared, rate=rate, how="measured")


def guessed(
    found: Judged, seen: Seen, sample: Keyspace | None, never: list[Glob], whole_cache: Rate, now: float
) -> Judged:
    """Return `found` with an estimate where nobody counts its pattern and something can be said."""
    if sample is None or not found.declared.ttl_s or "does not count" not in found.why:
        return found
    since = whole_cache.since
    used = _use(sample, found.declared, never, now - since if since else None)
    rate = estimated(seen.keys, seen.endless, used, seen.young, whole_cache)
    if rate is None or not rate.requests:
        return found
    return msgspec.structs.replace(found, rate=rate, how="estimated")


def _use(sample: Keyspace, declared: Declared, never: list[Glob], seconds: float | None) -> float:
    """Return the share (0..1) of the sampled keys' use that falls to a pattern, in the last `seconds`.

    What is protected is no cache and is left out.
    """
    steps = max(1, sum(edge <= seconds for edge in AGES_S)) if seconds is not None else len(AGES_S) + 1
    weights = [
        (found.frequency or sum(found.idle[:steps]), declared.glob.covers(found.name))
        for found in sample.patterns
        if not any(glob.covers(found.name) for glob in never)
    ]
    total = sum(weight for weight, _ in weights)
    return sum(weight for weight, ours in weights if ours) / total if total else 0.0


def rate_finding(found: Judged, settings: UpkeepSettings) -> Finding:
    """Say what the hit rate of a pattern is, and whether that was measured or estimated."""
    rate, pattern = found.rate, found.declared.pattern
    if rate is None:
        return finding(
            "hit_rate", pattern, Status.UNKNOWN, f"The hit rate of {pattern} is unknown: {found.why}."
        )
    since = f" since {moment(rate.since)}" if rate.since is not None else ""
    source = (
        "measured by the application's counters"
        if found.how == "measured"
        else "estimated: hits of the server by the sampled use of keys, misses by the keys filled"
    )
    low = found.low(settings)
    fix = ""
    if low:
        fix = "let its keys live longer, or stop caching it"
        fix += "" if found.declared.removable else "; declare it removable to have its keys removed"
    return finding(
        "hit_rate",
        pattern,
        Status.WARN if low else Status.OK,
        f"{rate.share:.1%} of {rate.requests:,} requests for {pattern} were hits{since} ({source}).",
        fix,
        observed=round(rate.share, 4),
        threshold=settings.least_hit_rate,
        unit="ratio",
    )


def cache_finding(rate: Rate, subject: str, settings: UpkeepSettings) -> Finding:
    """Say what the hit rate of the whole cache is, as the server itself counts it."""
    since = f"since {moment(rate.since)}" if rate.since is not None else "since the server's start"
    if rate.requests < settings.least_requests:
        text = f"The server counted {rate.requests:,} requests {since}: too few to judge its hit rate."
        return finding("cache_hit_rate", subject, Status.UNKNOWN, text)
    alert, target = settings.cache_hit_rate_alert, settings.cache_hit_rate_target
    status = Status.WARN if rate.share < alert else Status.OK
    under = f" (the aim is {target:.0%})" if rate.share < target else ""
    return finding(
        "cache_hit_rate",
        subject,
        status,
        f"{rate.share:.1%} of {rate.requests:,} requests {since} were hits{under}, measured by the server.",
        "see which patterns miss, and give them a longer time to live or more memory"
        if status is Status.WARN
        else "",
        observed=round(rate.share, 4),
        threshold=alert,
        unit="ratio",
    )


def removal(found: Judged, seen: Seen, *, check_mode: bool, whole: bool) -> Done | None:
    """Say what was removed or would be; None where there is nothing to remove."""
    pattern, rate = found.declared.pattern, found.rate
    if rate is None or not seen.keys:
        return None
    why = f"{rate.share:.1%} of {rate.requests:,} requests were hits"
    if check_mode:
        text = f"{seen.keys:,} keys of {pattern} are to be removed: {why}."
        action = f"remove {seen.keys:,} keys of {pattern} ({why})"
        return Done(finding("removal", pattern, Status.WARN, text, "run it without check mode"), action)
    left = "" if whole else "; the rest is next time's"
    text = f"{seen.removed:,} keys of {pattern} were removed: {why}{left}."
    entry = finding(
        "removal",
        pattern,
        Status.OK if whole else Status.SKIPPED,
        text,
        applied=f"UNLINK of {seen.removed:,} keys" if seen.removed else "",
        undo="none needed: the application fills them again" if seen.removed else "",
    )
    return Done(entry, f"remove {seen.removed:,} keys of {pattern} ({why})" if seen.removed else "")


def limits(declared: Declared, seen: Seen, *, check_mode: bool, can: bool) -> Iterator[Done]:
    """Say which keys of a pattern got their declared time to live, or would."""
    pattern, ttl_s, endless = declared.pattern, declared.ttl_s, seen.endless
    if not endless:
        text = f"Every key of {pattern} that was seen has a time to live ({seen.keys:,} keys)."
        yield Done(finding("ttl", pattern, Status.OK, text, observed=0, unit="keys"))
        return
    text = f"{endless:,} of {seen.keys:,} keys of {pattern} never end; declared are {ttl_s:,} s."
    if not can:
        fix = "a server since Redis 7.0, or EXPIRE by whoever writes them"
        yield Done(finding("ttl", pattern, Status.SKIPPED, f"{text} EXPIRE … NX needs Redis 7.0.", fix))
    elif check_mode:
        action = f"give {endless:,} keys of {pattern} a time to live of {ttl_s:,} s"
        found = finding(
            "ttl", pattern, Status.WARN, text, f"EXPIRE key {ttl_s} NX", observed=endless, unit="keys"
        )
        yield Done(found, action)
    else:
        action = f"give {seen.limited:,} keys of {pattern} a time to live of {ttl_s:,} s"
        entry = finding(
            "ttl",
            pattern,
            Status.OK,
            f"{text} {seen.limited:,} got that, none that meanwhile had one was changed.",
            observed=endless,
            unit="keys",
            applied=f"EXPIRE {ttl_s} NX of {seen.limited:,} keys" if seen.limited else "",
            undo="PERSIST key, before it ends" if seen.limited else "",
        )
        yield Done(entry, action if seen.limited else "")


def moment(at: float) -> str:
    """Return a Unix time as `2026-11-22 08:15 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def put_off(subject: str, why: str, keys: int) -> Finding:
    """Say that the upkeep stopped, and after how many keys."""
    looked = f" after {keys:,} keys" if keys else ""
    text = f"The upkeep of {subject} stopped{looked}: {why}; the rest is next time's."
    fix = "run it in a quieter hour, or with a larger window_s or latency_budget_ms"
    return finding("put_off", subject, Status.SKIPPED, text, fix)


def only_looked(info: Mapping[str, str], subject: str) -> Finding:
    """Say that a replica is not changed, and who its master is."""
    master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
    text = f"{subject} is a replica of {master}: it was only looked at."
    return finding("replica", subject, Status.SKIPPED, text, f"name {master} for the upkeep of the keys")


def forgotten(subject: str, path: Path) -> Finding:
    """Say that what was kept between runs cannot be read."""
    text = f"{path} could not be read: the readings of earlier runs are lost."
    return finding("state", subject, Status.WARN, text, "nothing: this run writes it anew")
