"""What a caller declares about a cache, and how its upkeep is to be done."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.upkeep.globs import Glob
from courtkeeper.settings import converted, usable_directory, within

Duty = Literal[
    "hit_rates",
    "removal",
    "ttl",
    "expired",
    "memory",
    "memory_purge",
    "aof_rewrite",
    "snapshot",
    "keys",
]

_LONGEST_PATTERN = 500
_MOST_PATTERNS = 200
_TEN_YEARS_S = 10 * 366 * 86400


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys that a caller knows: `*` in `pattern` stands for anything.

    `ttl_s` is the time to live of keys that have none; 0: not declared. `removable` keys may go where they
    are asked for in vain: whoever uses them fills them again.
    """

    pattern: str
    ttl_s: int = 0
    removable: bool = False

    @property
    def glob(self) -> Glob:
        """The pattern, to match with."""
        return Glob(self.pattern)


class UpkeepSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the upkeep of a cache is to be done.

    Keys that match `protected` are never removed and never get a time to live. `counters` names hashes in
    which the application counts its hits and misses a pattern (fields `hit:<pattern>`, `miss:<pattern>`);
    they are protected too. What is kept between runs lies in `state_directory` (0700).

    `latency_budget_ms`: so much longer than the fastest answer may an answer take; else the upkeep waits,
    `patience_s` in a row at most. `share` (0..1) is the part of the time in which it asks anything.
    """

    duties: tuple[Duty, ...] = ()
    patterns: tuple[Declared, ...] = ()
    protected: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    state_directory: str = ""
    keep_readings: int = 30
    # RedisInsight and the field's rule of thumb: under 0.7 a pattern costs more than it saves; a whole cache
    # should be over 0.95 and alerts under 0.9.
    least_hit_rate: float = 0.7
    cache_hit_rate_target: float = 0.95
    cache_hit_rate_alert: float = 0.9
    least_requests: int = 100
    window_s: float = 900.0
    latency_budget_ms: float = 5.0
    patience_s: float = 60.0
    share: float = 0.25
    batch: int = 50
    sample_keys: int = 10000
    # 80 % of maxmemory: the field's alert; 95 %: eviction or refusal is near.
    memory_warn_percent: float = 80.0
    memory_crit_percent: float = 95.0
    # MEMORY DOCTOR's own limits for what the allocator holds back: 1.1 times and 10 MB.
    purge_over_mb: float = 10.0
    purge_over_ratio: float = 1.1
    aof_growth_percent: float = 50.0
    aof_least_mb: float = 64.0
    # Netdata: critical where the last save is older than 1200 s.
    snapshot_max_age_s: float = 1200.0
    persistence_timeout_s: float = 600.0
    # RedisInsight: a string over 100,000 bytes is big; the same for other types, as MEMORY USAGE tells.
    big_key_bytes: int = 100_000
    # redis.conf: with lfu-log-factor 10 a counter is at 18 after 1,000 reads, at 142 after 100,000.
    hot_key_frequency: int = 100
    idle_key_s: int = 7 * 86400
    list_keys: int = 10

    def wants(self, duty: Duty) -> bool:
        """Tell whether a duty is to be done; none named: all are."""
        return not self.duties or duty in self.duties

    @property
    def never(self) -> list[Glob]:
        """What is never changed: the protected patterns, and the application's counters by their names."""
        return [Glob(pattern) for pattern in (*self.protected, *self.counters)]


_LIMITS: tuple[tuple[str, float, float], ...] = (
    ("keep_readings", 1, 1000),
    ("least_hit_rate", 0, 1),
    ("cache_hit_rate_target", 0, 1),
    ("cache_hit_rate_alert", 0, 1),
    ("least_requests", 1, 10**12),
    ("window_s", 1, 7 * 86400),
    ("latency_budget_ms", 0.1, 10_000),
    ("patience_s", 0, 86400),
    ("share", 0.01, 1),
    ("batch", 10, 10_000),
    ("sample_keys", 0, 10_000_000),
    ("memory_warn_percent", 1, 100),
    ("memory_crit_percent", 1, 100),
    ("purge_over_mb", 0, 10**9),
    ("purge_over_ratio", 1, 1000),
    ("aof_growth_percent", 0, 10**6),
    ("aof_least_mb", 0, 10**9),
    ("snapshot_max_age_s", 0, 10**9),
    ("persistence_timeout_s", 1, 86400),
    ("big_key_bytes", 1, 2**62),
    ("hot_key_frequency", 1, 255),
    ("idle_key_s", 1, 10**9),
    ("list_keys", 0, 1000),
)


def upkeep_settings_from(given: Mapping[str, Any]) -> UpkeepSettings:
    """Return how the upkeep is to be done. Raises ConfigurationError, naming the key, for what cannot be."""
    settings = converted(given, UpkeepSettings)
    for name, least, most in _LIMITS:
        within(name, getattr(settings, name), least, most)
    _ordered(settings)
    _patterns(settings)
    usable_directory("state_directory", settings.state_directory)
    return settings


def _ordered(settings: UpkeepSettings) -> None:
    for lower, upper in (
        ("memory_warn_percent", "memory_crit_percent"),
        ("cache_hit_rate_alert", "cache_hit_rate_target"),
    ):
        if getattr(settings, lower) > getattr(settings, upper):
            raise ConfigurationError(f"{lower} is over {upper}: give the smaller number to {lower}")


def _patterns(settings: UpkeepSettings) -> None:
    """Refuse patterns that say nothing, that meet each other, or that meet what is protected."""
    for name in ("patterns", "protected", "counters"):
        if len(getattr(settings, name)) > _MOST_PATTERNS:
            raise ConfigurationError(f"{name} has over {_MOST_PATTERNS} entries: write fewer, wider patterns")
    for number, text in enumerate(settings.protected):
        _readable(f"protected[{number}]", text)
    for number, text in enumerate(settings.counters):
        _readable(f"counters[{number}]", text)
        if "*" in text:
            raise ConfigurationError(f"counters[{number}] is {text!r}: name one hash, without *")
    for number, declared in enumerate(settings.patterns):
        _declared(f"patterns[{number}].", declared, settings)
    for one, other in combinations(settings.patterns, 2):
        if one.glob.overlaps(other.glob):
            raise ConfigurationError(
                f"patterns {one.pattern!r} and {other.pattern!r} have keys in common: write them so that a "
                "key is declared once"
            )


def _declared(where: str, declared: Declared, settings: UpkeepSettings) -> None:
    _readable(f"{where}pattern", declared.pattern)
    if declared.pattern.startswith("*"):
        raise ConfigurationError(
            f"{where}pattern is {declared.pattern!r}, which begins with *: begin it with the name that its "
            "keys share, so that nothing else is meant"
        )
    within(f"{where}ttl_s", declared.ttl_s, 0, _TEN_YEARS_S)
    for glob in settings.never:
        if declared.glob.overlaps(glob):
            raise ConfigurationError(
                f"{where}pattern {declared.pattern!r} has keys in common with the protected {glob.text!r}: "
                "narrow it"
            )


def _readable(where: str, text: str) -> None:
    if not text or len(text) > _LONGEST_PATTERN or not text.isprintable():
        raise ConfigurationError(
            f"{where} is no pattern: write 1 to {_LONGEST_PATTERN} printable characters, with * for anything"
        )
    special = next((character for character in text if character in "?[]\\"), "")
    if special:
        raise ConfigurationError(
            f"{where} is {text!r}: {special} is special to the server, not to us: write * for anything"
        )
