"""Hit rates between two readings: measured where the application counts, else estimated from a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from courtkeeper.redis.upkeep.globs import Glob
from courtkeeper.redis.upkeep.state import Reading

Counters = Mapping[str, tuple[int, int]]


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a cache between two moments. `since` is a Unix time; None: since they were begun."""

    hits: int = 0
    misses: int = 0
    since: float | None = None

    @property
    def requests(self) -> int:
        """Hits and misses together."""
        return self.hits + self.misses

    @property
    def share(self) -> float:
        """Hits of all requests, 0..1; 0 where there were none."""
        return self.hits / self.requests if self.requests else 0.0


def covered(counters: Counters, glob: Glob) -> tuple[int, int] | None:
    """Return the hits and misses of all counted patterns whose keys are the pattern's; None if none is."""
    pairs = [pair for pattern, pair in counters.items() if glob.covers(pattern)]
    return (sum(hits for hits, _ in pairs), sum(misses for _, misses in pairs)) if pairs else None


def measured(
    now: Counters, readings: Sequence[Reading], glob: Glob, *, least_requests: int, after: float = 0.0
) -> Rate | None:
    """Return the rate of a pattern between now and a reading; None where the application does not count it.

    The newest reading with `least_requests` in between is taken, else the oldest one. Readings before `after`
    (the pattern was emptied then) say nothing. Where the counters have begun anew since a reading, all that
    they hold came after it. With no reading there are no requests between two.
    """
    current = covered(now, glob)
    if current is None:
        return None
    rate = Rate()
    for reading in reversed(readings):
        if reading.at < after:
            break
        earlier = covered(reading.counters, glob) or (0, 0)
        began_anew = current[0] < earlier[0] or current[1] < earlier[1]
        base = (0, 0) if began_anew else earlier
        rate = Rate(hits=current[0] - base[0], misses=current[1] - base[1], since=reading.at)
        if rate.requests >= least_requests or began_anew:
            break
    return rate


def of_server(
    hits: int, misses: int, run_id: str, readings: Sequence[Reading], *, least_requests: int
) -> Rate:
    """Return the rate of the whole cache, as the server counts it, since a reading (see `measured`).

    With no reading of this start of the server: since its start.
    """
    rate = Rate(hits=hits, misses=misses)
    for reading in reversed(readings):
        if reading.run_id != run_id or reading.hits > hits or reading.misses > misses:
            break
        rate = Rate(hits=hits - reading.hits, misses=misses - reading.misses, since=reading.at)
        if rate.requests >= least_requests:
            break
    return rate


def estimated(keys: float, endless: float, asked: float, young: float, whole_cache: Rate) -> Rate | None:
    """Estimate the rate of a pattern that nobody counts, from a sample and the server's own counters.

    `keys` are the pattern's, `asked` the share of all keys' use that falls to it (0..1), `young` its keys
    that were filled in the time of `whole_cache`. A cache fills a key after a miss, so the keys filled are
    about its misses, and the server's hits are spread by use. None where that cannot be said: keys without a
    time to live (`endless`) do not tell when they were filled.
    """
    if not keys or endless > keys / 2 or not whole_cache.requests:
        return None
    hits = round(whole_cache.hits * min(1.0, max(0.0, asked)))
    return Rate(hits=hits, misses=round(min(young, whole_cache.misses)), since=whole_cache.since)
