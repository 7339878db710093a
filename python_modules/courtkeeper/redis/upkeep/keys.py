"""What a sample of the keys shows: which are big, hot or idle, and which never end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.keyspace import AGES_S, Key, Keyspace, Pattern
from courtkeeper.redis.patterns import OTHER, printable
from courtkeeper.redis.upkeep.globs import Glob
from courtkeeper.redis.upkeep.said import finding
from courtkeeper.redis.upkeep.settings import UpkeepSettings

_NAME = 80
_DAY = AGES_S.index(86_400)
_ENDS = ("within a minute", "within an hour", "within a day", "within a week", "within 30 days", "later")


class Notable:
    """The biggest, hottest and idlest of the keys that it is shown, `list_keys` of each."""

    def __init__(self, settings: UpkeepSettings) -> None:
        self._settings, self._never = settings, settings.never
        self.big: list[Key] = []
        self.hot: list[Key] = []
        self.idle: list[Key] = []
        self._lfu: bool | None = None

    def see(self, key: Key) -> None:
        """Look at one key. Idle keys that end by themselves, or that are to stay, are left out."""
        told = self._settings
        self._lfu = key.frequency is not None if self._lfu is None else self._lfu
        if key.size >= told.big_key_bytes:
            self._keep(self.big, key, lambda one: one.size)
        if (key.frequency or 0) >= told.hot_key_frequency:
            self._keep(self.hot, key, lambda one: one.frequency or 0)
        if (key.idle_s or 0) >= told.idle_key_s and key.ttl_s is None and not self._stays(key):
            self._keep(self.idle, key, lambda one: one.idle_s or 0)

    def findings(self, sample: Keyspace, subject: str) -> Iterator[Finding]:
        """Yield what is to be said of single keys; names are shortened."""
        yield from (_big(key, self._settings) for key in self.big)
        yield from (_hot(key, self._settings) for key in self.hot)
        yield from (_idle(key, self._settings) for key in self.idle)
        other, kind = ("idle without end", "hot") if not self._lfu else ("hot", "idle")
        if not self.big and not self.hot and not self.idle:
            text = f"No key is big or {other} ({sample.extent} seen)."
            yield finding("keys", subject, Status.OK, text)
        if self._lfu is not None:
            text = f"Which keys are {kind} cannot be told: the server counts use or age, by maxmemory-policy."
            yield finding(f"{kind}_key", subject, Status.SKIPPED, text)

    def _stays(self, key: Key) -> bool:
        return any(glob.matches(key.name) for glob in self._never)

    def _keep(self, kept: list[Key], key: Key, by: Callable[[Key], int]) -> None:
        most = self._settings.list_keys
        if len(kept) < most or (kept and by(key) > by(kept[-1])):
            kept.append(key)
            kept.sort(key=by, reverse=True)
            del kept[most:]


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
