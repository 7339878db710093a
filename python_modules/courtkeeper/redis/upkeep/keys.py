"""What a sample of the keys shows: which are big, hot or idle, and which never end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.keyspace import AGES_S, OTHER, Key, Keyspace, Pattern
from courtkeeper.redis.patterns import printable
from courtkeeper.redis.upkeep.globs import Glob
from courtkeeper.redis.upkeep.said import finding
from courtkeeper.redis.upkeep.settings import UpkeepSettings

_NAME = 80
_DAY = AGES_S.index(86_400)
_ENDS = ("within a minute", "within an hour", "within a day", "within a week", "within 30 days", "later")


def findings(sample: Keyspace, database: int, settings: UpkeepSettings, subject: str) -> Iterator[Finding]:
    """Yield what is to be said of single keys: `list_keys` of a kind at most, names shortened."""
    most = settings.list_keys
    big = [key for key in sample.largest if key.database == database and key.size >= settings.big_key_bytes]
    hot = [key for key in sample.hottest if (key.frequency or 0) >= settings.hot_key_frequency]
    idle = [key for key in sample.idlest if (key.idle_s or 0) >= settings.idle_key_s]
    never = settings.never
    for key in big[:most]:
        yield _big(key, settings)
    for key in [key for key in hot if key.database == database][:most]:
        yield _hot(key, settings)
    for key in _unprotected(idle, database, never)[:most]:
        yield _idle(key, settings)
    if not big and not hot and not idle:
        yield finding("keys", subject, Status.OK, f"No key is big, hot or idle ({sample.extent} seen).")


def advice(
    sample: Keyspace, database: int, settings: UpkeepSettings, declared: Iterable[Glob]
) -> Iterator[Finding]:
    """Yield the patterns whose keys never end and for which no time to live is declared."""
    known = [*declared, *settings.never]
    open_ended = [
        found
        for found in sample.patterns
        if found.database == database
        and found.endless
        and found.name != OTHER
        and not any(glob.covers(found.name) for glob in known)
    ]
    open_ended.sort(key=lambda found: -found.endless_size)
    for found in open_ended[: settings.list_keys]:
        yield _advised(sample, found)


def _unprotected(keys: Iterable[Key], database: int, never: list[Glob]) -> list[Key]:
    """Leave out what is meant to stay although nobody asks for it."""
    return [
        key for key in keys if key.database == database and not any(glob.matches(key.name) for glob in never)
    ]


def _advised(sample: Keyspace, found: Pattern) -> Finding:
    endless, size = sample.estimated(found.endless), sample.estimated(found.endless_size)
    about = "" if sample.complete else "about "
    limited = sum(found.ttl)
    others = ""
    if limited:
        longest = max(at for at, count in enumerate(found.ttl) if count)
        others = f"; the pattern's other keys end {_ENDS[longest]}, which may do for these"
    elif unused := sum(found.idle[_DAY + 1 :]):
        others = f"; {unused / found.keys:.0%} of them were not asked for within a day"
    return finding(
        "ttl_advice",
        found.name,
        Status.WARN,
        f"{about.capitalize()}{endless:,.0f} keys ({size:,.0f} bytes) never end, and no time to live is "
        f"declared for them{others}.",
        "declare the pattern with ttl_s, or protect it if it is to stay",
        observed=round(endless),
        threshold=0,
        unit="keys",
    )


def _big(key: Key, settings: UpkeepSettings) -> Finding:
    elements = f" with {key.elements:,} elements" if key.elements else ""
    return finding(
        "big_key",
        name(key.name),
        Status.WARN,
        f"A {key.type}{elements} takes {key.size:,} bytes.",
        "split it, compress it, or keep less in it; remove it by UNLINK only, never by DEL",
        observed=key.size,
        threshold=settings.big_key_bytes,
        unit="bytes",
    )


def _hot(key: Key, settings: UpkeepSettings) -> Finding:
    return finding(
        "hot_key",
        name(key.name),
        Status.WARN,
        f"It is asked for very often: its LFU counter is at {key.frequency} of 255.",
        "keep it in the application for a moment, or spread it over several keys",
        observed=key.frequency,
        threshold=settings.hot_key_frequency,
        unit="LFU",
    )


def _idle(key: Key, settings: UpkeepSettings) -> Finding:
    days = (key.idle_s or 0) / 86400
    return finding(
        "idle_key",
        name(key.name),
        Status.WARN,
        f"Nobody asked for it for {days:,.1f} days; it takes {key.size:,} bytes and never ends.",
        "give it a time to live, or remove it",
        observed=key.idle_s,
        threshold=settings.idle_key_s,
        unit="s",
    )


def name(key: bytes) -> str:
    """Return a key's name as it can be shown: printable and short."""
    return printable(key[: 4 * _NAME].decode(errors="replace"), _NAME)
