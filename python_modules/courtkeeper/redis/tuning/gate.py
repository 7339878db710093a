"""The gate: is the server worse off than before the change? Pure: readings in, measures out.

Three readings before the change make two halves, three after it two more. Latency and throughput count as
worse only where the better half after the change is worse than the worse half before it, so that one spike on
either side decides nothing. Events (evictions, errors, refused connections) are counted over all of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from courtkeeper.redis.parse import Histogram, whole
from courtkeeper.redis.tuning.settings import Gate

Verdict = Literal["kept", "worse", "unjudged"]
# What we and other watchers ask is no load: the gate must not judge its own questions.
WATCHING = frozenset(
    {"info", "config", "latency", "slowlog", "memory", "client", "cluster", "ping", "command", "acl", "role"}
    | {"replconf", "psync", "auth", "hello", "select", "debug", "sentinel", "publish", "subscribe", "monitor"}
)
# A command that was called less often in a half says nothing about its own 99th percentile.
_FEW_CALLS = 50


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of a server at one moment; `at` is monotonic seconds, `fork_us` the last fork's time."""

    at: float
    run_id: str = ""
    role: str = ""
    link_up: bool = True
    commands: int = 0
    evictions: int = 0
    errors: int = 0
    rejected: int = 0
    forks: int = 0
    fork_us: int = 0
    latencies: Mapping[str, Histogram] = {}


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing judged: before, after, the limit it must keep, in `unit`, or why it was not judged."""

    name: str
    verdict: Verdict
    before: float = 0
    after: float = 0
    limit: float = 0
    unit: str = ""
    why: str = ""

    def __str__(self) -> str:
        if self.verdict == "unjudged":
            return f"{self.name}: not judged, {self.why}"
        if self.why:
            return f"{self.name}: {self.why}"
        return f"{self.name} {self.before:.4g} -> {self.after:.4g} {self.unit} (limit {self.limit:.4g})"


def reading(info: Mapping[str, str], latencies: Mapping[str, Histogram], at: float) -> Reading:
    """Return what the gate needs of INFO and LATENCY HISTOGRAM."""
    return Reading(
        at=at,
        run_id=info.get("run_id", ""),
        role=info.get("role", ""),
        link_up=info.get("master_link_status", "up") == "up",
        commands=whole(info.get("total_commands_processed")),
        evictions=whole(info.get("evicted_keys")),
        errors=whole(info.get("total_error_replies")),
        rejected=whole(info.get("rejected_connections")),
        forks=whole(info.get("total_forks")),
        fork_us=whole(info.get("latest_fork_usec")),
        latencies={k: v for k, v in latencies.items() if k.partition("|")[0] not in WATCHING},
    )


def judge(before: Sequence[Reading], after: Sequence[Reading], gate: Gate) -> list[Measure]:
    """Compare three readings before the change (the last one just before it) with three after it."""
    if broken := _broken(before[-1], after[-1]):
        return [broken]
    if any(_backwards(a, b) for a, b in _halves([*before, *after])):
        return [Measure(name="statistics", verdict="unjudged", why="they were reset meanwhile")]
    return [
        _p99(before, after, gate),
        _ops(before, after, gate),
        *_events(before, after[-1], gate),
        _fork(before[-1], after[-1], gate),
    ]


def already(before: Sequence[Reading], now: Reading, gate: Gate) -> list[Measure]:
    """Return what is worse so soon that the rest of the time need not be waited for; mostly nothing."""
    if broken := _broken(before[-1], now):
        return [broken]
    if _backwards(before[-1], now):
        return []
    whole_time = gate.settle_s + gate.observe_s
    return [m for m in _events(before, now, gate, over=whole_time) if m.verdict == "worse"]


def worse(measures: Iterable[Measure]) -> list[Measure]:
    """Return the measures for which the change goes back."""
    return [measure for measure in measures if measure.verdict == "worse"]


def _halves(readings: Sequence[Reading]) -> list[tuple[Reading, Reading]]:
    return list(pairwise(readings))


def _broken(before: Reading, now: Reading) -> Measure | None:
    why = ""
    if now.run_id != before.run_id:
        why = "the server was started again meanwhile"
    elif now.role != before.role:
        why = f"the server became a {'replica' if now.role == 'slave' else now.role} meanwhile"
    elif before.link_up and not now.link_up:
        why = "the replica lost its master"
    return Measure(name="the server itself", verdict="worse", why=why) if why else None


def _backwards(earlier: Reading, later: Reading) -> bool:
    names = ("commands", "evictions", "errors", "rejected")
    return any(getattr(later, name) < getattr(earlier, name) for name in names)


def _p99(before: Sequence[Reading], after: Sequence[Reading], gate: Gate) -> Measure:
    name = "99th percentile of commands"
    halves = [_during(a, b) for a, b in (*_halves(before), *_halves(after))]
    common = {c for c in halves[0] if all(h.get(c, Histogram()).calls >= _FEW_CALLS for h in halves)}
    fewest = min(sum(h[c].calls for c in common) for h in halves)
    if fewest < max(gate.min_calls, 1):
        return Measure(
            name=name,
            verdict="unjudged",
            why=f"{fewest} calls of the same commands in half the time, {gate.min_calls} are needed",
        )
    mix = {c: float(halves[0][c].calls + halves[1][c].calls) for c in common}
    times = [percentile({c: h[c] for c in common}, mix, 0.99) for h in halves]
    was, now = max(times[:2]), min(times[2:])
    limit = max(was * gate.p99_ratio, was + gate.p99_floor_us)
    return _measure(name, was, now, limit, "µs", worse=now > limit)


def _during(earlier: Reading, later: Reading) -> dict[str, Histogram]:
    none = Histogram()
    return {c: h.since(earlier.latencies.get(c, none)) for c, h in later.latencies.items()}


def percentile(parts: Mapping[str, Histogram], mix: Mapping[str, float], share: float) -> float:
    """Return the percentile, in µs, of commands as if they had been called in the proportions of `mix`.

    A change of what the clients ask for is no change of the server. Within a bucket, whose edges double, the
    calls are taken to be spread evenly. 0 where there is nothing.
    """
    buckets: dict[int, float] = {}
    for command, histogram in parts.items():
        seen = 0
        for edge, count in histogram.buckets:
            if histogram.calls and count > seen:
                weight = mix.get(command, 0.0) * (count - seen) / histogram.calls
                buckets[edge] = buckets.get(edge, 0.0) + weight
                seen = count
    wanted = share * sum(buckets.values())
    passed = 0.0
    for edge in sorted(buckets):
        if passed + buckets[edge] >= wanted and buckets[edge]:
            return edge / 2 + edge / 2 * min(1.0, (wanted - passed) / buckets[edge])
        passed += buckets[edge]
    return float(max(buckets, default=0))


def _ops(before: Sequence[Reading], after: Sequence[Reading], gate: Gate) -> Measure:
    name = "commands a second"
    was = min(_rate(a.commands, b.commands, b.at - a.at) for a, b in _halves(before))
    now = max(_rate(a.commands, b.commands, b.at - a.at) for a, b in _halves(after))
    if was < gate.min_ops_s:
        return Measure(name=name, verdict="unjudged", why=f"{was:.3g} before, {gate.min_ops_s:g} are needed")
    limit = was * gate.ops_ratio
    return _measure(name, was, now, limit, "1/s", worse=now < limit)


def _events(before: Sequence[Reading], now: Reading, gate: Gate, over: float = 0) -> list[Measure]:
    """Events a second since the last reading before the change; over the time `over` where that is longer."""
    kinds = (
        ("evictions a second", "evictions", gate.evictions_s),
        ("error replies a second", "errors", gate.errors_s),
        ("refused connections a second", "rejected", gate.rejected_s),
    )
    found = []
    for name, field, floor in kinds:
        was = max(_rate(getattr(a, field), getattr(b, field), b.at - a.at) for a, b in _halves(before))
        start = before[-1]
        seconds = max(now.at - start.at, over)
        is_ = _rate(getattr(start, field), getattr(now, field), seconds)
        limit = max(was * gate.events_ratio, was + floor)
        found.append(_measure(name, was, is_, limit, "1/s", worse=is_ > limit))
    return found


def _fork(before: Reading, after: Reading, gate: Gate) -> Measure:
    name = "time of a fork"
    if after.forks <= before.forks or not before.fork_us:
        return Measure(name=name, verdict="unjudged", why="there was none to compare")
    was, now = before.fork_us / 1000, after.fork_us / 1000
    limit = max(was * gate.fork_ratio, gate.fork_floor_ms)
    return _measure(name, was, now, limit, "ms", worse=now > limit)


def _measure(name: str, was: float, now: float, limit: float, unit: str, *, worse: bool) -> Measure:
    verdict: Verdict = "worse" if worse else "kept"
    return Measure(name=name, verdict=verdict, before=was, after=now, limit=limit, unit=unit)


def _rate(earlier: int, later: int, seconds: float) -> float:
    return (later - earlier) / seconds if seconds > 0 else 0.0
