"""A bounded sample of the keys of a server: SCAN, and what each key is, in small pipelines with pauses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from redis import exceptions as errors

from courtkeeper.redis.parse import Database, text, whole
from courtkeeper.redis.patterns import pattern
from courtkeeper.redis.server import Client, Command, replies

OTHER = "(other)"
# Upper edges in seconds: a minute, an hour, a day, a week, thirty days; what is beyond is the last one.
AGES_S = (60, 3_600, 86_400, 604_800, 2_592_000)


class SampleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many keys are looked at, and how gently.

    `keys` in all databases together, `batch` at a time; `patterns` at most are told apart, `largest` of the
    biggest keys kept. After each batch comes a pause of `pause_ratio` times what it took; `budget_s` is the
    time of all.
    """

    keys: int = 20_000
    batch: int = 10
    patterns: int = 200
    largest: int = 50
    pause_ratio: float = 1.0
    budget_s: float = 15.0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `ttl_s` is None where it never expires; `idle_s` or `frequency` is None by the policy.

    `elements` is None where it was not asked for: the value is small.
    """

    name: bytes
    database: int
    type: str
    size: int
    ttl_s: float | None = None
    idle_s: int | None = None
    frequency: int | None = None
    encoding: str = ""
    elements: int | None = None


class Pattern(msgspec.Struct, kw_only=True):
    """The sampled keys of one pattern in one database. Counts are of the sample; `size` is bytes in all.

    `ttl` and `idle` count the keys up to each of AGES_S, and beyond; `endless` those that never expire.
    """

    name: str
    database: int
    keys: int = 0
    size: int = 0
    endless: int = 0
    endless_size: int = 0
    types: dict[str, int] = msgspec.field(default_factory=dict)
    encodings: dict[str, int] = msgspec.field(default_factory=dict)
    ttl: list[int] = msgspec.field(default_factory=lambda: [0] * (len(AGES_S) + 1))
    idle: list[int] = msgspec.field(default_factory=lambda: [0] * (len(AGES_S) + 1))
    frequency: int = 0
    most_elements: int = 0


class Keyspace(msgspec.Struct, frozen=True, kw_only=True):
    """A sample: `sampled` of `total` keys, all of them if `complete`; what is said of the rest is estimated.

    `patterns` come with the most bytes first. `idlest` are the keys without a time to live that nobody used
    for longest, `hottest` those used most: one of them is empty, by the policy. `lookups` is what the sample
    itself added to keyspace_hits.
    """

    sampled: int
    total: int
    complete: bool
    patterns: tuple[Pattern, ...]
    largest: tuple[Key, ...]
    idlest: tuple[Key, ...] = ()
    hottest: tuple[Key, ...] = ()
    types: dict[str, int] = msgspec.field(default_factory=dict)
    lookups: int = 0
    duration_s: float = 0.0

    @property
    def extent(self) -> str:
        """`all 120 keys`, or `20,000 of 1,000,000 keys, the rest estimated`."""
        if self.complete:
            return f"all {self.sampled:,} keys"
        return f"{self.sampled:,} of {self.total:,} keys, the rest estimated"

    def estimated(self, count: float) -> float:
        """Return what a count or size in the sample comes to in all keys."""
        return count if self.complete or not self.sampled else count * self.total / self.sampled


def take(
    client: Client,
    settings: SampleSettings,
    info: Mapping[str, str],
    databases: Mapping[int, Database],
    *,
    tell: Callable[[str], None] = lambda _text: None,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Keyspace:
    """Sample the keys of `databases`, each by its share of the keys.

    Raises redis' ResponseError where SCAN is refused, ConnectionError where the server is lost.
    """
    began = clock()
    total = sum(database.keys for database in databases.values())
    sample = _Sample(client, settings, info)
    complete = True
    home = client.connection.db if client.connection else 0
    try:
        for number, database in sorted(databases.items()):
            share = max(1, round(settings.keys * database.keys / max(1, total)))
            if len(databases) > 1 or number != home:
                _ask(client, "SELECT", number)
            for names, last in _scan(client, settings, share):
                asked = clock()
                sample.add(number, names)
                complete = complete and last is not False
                tell(f"looking at keys, {sample.sampled:,} of {min(total, settings.keys):,}")
                pause(settings.pause_ratio * (clock() - asked))
                if clock() - began > settings.budget_s:
                    complete = False
                    break
    finally:
        if client.connection and client.connection.is_connected:
            _ask(client, "SELECT", home)
    return sample.keyspace(total, complete, clock() - began)


def _scan(
    client: Client, settings: SampleSettings, most: int
) -> Iterator[tuple[Sequence[bytes], bool | None]]:
    """Yield the names of keys in batches; with the last one whether that was all (None before it)."""
    cursor, seen = b"0", 0
    while True:
        cursor, names = _ask(client, "SCAN", cursor, "COUNT", settings.batch)
        seen += len(names)
        over, ended = seen >= most, cursor == b"0"
        for first in range(0, len(names), settings.batch) or [0]:
            rest = first + settings.batch < len(names)
            yield names[first : first + settings.batch], None if rest or not (over or ended) else ended
        if over or ended:
            return


def _ask(client: Client, *command: str | bytes | int) -> Any:  # noqa: ANN401 - as the server answers
    (reply,) = replies(client, [command])
    if isinstance(reply, errors.RedisError):
        raise reply
    return reply


_COUNTS = {b"hash": "HLEN", b"set": "SCARD", b"zset": "ZCARD", b"list": "LLEN", b"stream": "XLEN"}
# A value that is smaller holds too few elements for any rule.
_COUNTED_SIZE = 1_000
# Without NO-TOUCH counting makes a key look used: only keys that were used this recently are counted.
_RECENT_S = 3_600


class _Sample:
    """What was seen of the keys so far."""

    def __init__(self, client: Client, settings: SampleSettings, info: Mapping[str, str]) -> None:
        self._client, self._settings = client, settings
        self._lfu = "lfu" in info.get("maxmemory_policy", "")
        (reply,) = replies(client, [("CLIENT", "NO-TOUCH", "ON")])
        self._traceless = reply == b"OK"
        self._patterns: dict[tuple[int, str], Pattern] = {}
        self._largest: list[Key] = []
        self._idlest: list[Key] = []
        self._hottest: list[Key] = []
        self._types: dict[str, int] = {}
        self._lookups = 0
        self.sampled = 0

    def add(self, database: int, names: Sequence[bytes]) -> None:
        age = "FREQ" if self._lfu else "IDLETIME"
        commands: list[Command] = []
        for name in names:
            commands += [("TYPE", name), ("PTTL", name), ("MEMORY", "USAGE", name)]
            commands += [("OBJECT", "ENCODING", name), ("OBJECT", age, name)]
        answers = replies(self._client, commands) if commands else []
        self._lookups += 4 * len(names)
        rows = [(name, answers[5 * at : 5 * at + 5]) for at, name in enumerate(names)]
        counted = [(name, row) for name, row in rows if self._worth_counting(row)]
        counts = replies(self._client, [(_COUNTS[row[0]], name) for name, row in counted]) if counted else []
        self._lookups += len(counted)
        elements = dict(zip((name for name, _ in counted), counts, strict=True))
        for name, row in rows:
            if isinstance(row[2], int):
                self._note(self._key(database, name, row, elements.get(name)))

    def _worth_counting(self, row: Sequence[Any]) -> bool:
        kind, _, size, _, age = row
        if kind not in _COUNTS or not isinstance(size, int) or size < _COUNTED_SIZE:
            return False
        return self._traceless or self._lfu or (isinstance(age, int) and age < _RECENT_S)

    def _key(self, database: int, name: bytes, row: Sequence[Any], elements: object) -> Key:
        kind, ttl_ms, size, encoding, age = row
        used = age if isinstance(age, int) else None
        return Key(
            name=name,
            database=database,
            type=text(kind),
            size=whole(size),
            ttl_s=ttl_ms / 1000 if isinstance(ttl_ms, int) and ttl_ms >= 0 else None,
            idle_s=None if self._lfu else used,
            frequency=used if self._lfu else None,
            encoding=text(encoding),
            elements=elements if isinstance(elements, int) else None,
        )

    def _note(self, key: Key) -> None:
        self.sampled += 1
        self._types[key.type] = self._types.get(key.type, 0) + 1
        _count(self._pattern(key), key)
        most = self._settings.largest
        _keep(self._largest, key, most, lambda one: one.size)
        if key.ttl_s is None:
            _keep(self._idlest, key, most, lambda one: one.idle_s or 0)
        _keep(self._hottest, key, most, lambda one: one.frequency or 0)

    def _pattern(self, key: Key) -> Pattern:
        name = pattern(key.name)
        if len(self._patterns) >= self._settings.patterns and (key.database, name) not in self._patterns:
            name = OTHER
        return self._patterns.setdefault((key.database, name), Pattern(name=name, database=key.database))

    def keyspace(self, total: int, complete: bool, seconds: float) -> Keyspace:
        return Keyspace(
            sampled=self.sampled,
            total=max(total, self.sampled),
            complete=complete,
            patterns=tuple(sorted(self._patterns.values(), key=lambda one: (-one.size, one.name))),
            largest=tuple(self._largest),
            idlest=tuple(self._idlest),
            hottest=tuple(self._hottest),
            types=self._types,
            lookups=self._lookups,
            duration_s=seconds,
        )


def _keep(kept: list[Key], key: Key, most: int, measure: Callable[[Key], int]) -> None:
    """Keep the `most` keys that measure most, with the first first; what measures 0 is not kept."""
    if measure(key) and (len(kept) < most or measure(key) > measure(kept[-1])):
        kept.append(key)
        kept.sort(key=lambda one: -measure(one))
        del kept[most:]


def _count(found: Pattern, key: Key) -> None:
    found.keys += 1
    found.size += key.size
    found.types[key.type] = found.types.get(key.type, 0) + 1
    found.encodings[key.encoding] = found.encodings.get(key.encoding, 0) + 1
    if key.ttl_s is None:
        found.endless += 1
        found.endless_size += key.size
    else:
        found.ttl[_step(key.ttl_s)] += 1
    if key.idle_s is not None:
        found.idle[_step(key.idle_s)] += 1
    found.frequency += key.frequency or 0
    found.most_elements = max(found.most_elements, key.elements or 0)


def _step(seconds: float) -> int:
    return next((at for at, edge in enumerate(AGES_S) if seconds <= edge), len(AGES_S))
