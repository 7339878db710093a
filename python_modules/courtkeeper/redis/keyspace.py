"""A bounded sample of the keys of a server: SCAN, and what each key is, in small pipelines with pauses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Self

import msgspec
from redis import exceptions as errors

from courtkeeper.redis.parse import Database, text, whole
from courtkeeper.redis.patterns import OTHER, Patterns
from courtkeeper.redis.server import Client, Command, replies

# What a user has to be allowed for a sample, on every key.
COMMANDS = (
    *("scan", "select", "type", "pttl", "memory|usage", "object|encoding", "object|idletime", "object|freq"),
    *("hlen", "scard", "zcard", "llen", "xlen"),
)
# Upper edges in seconds: a minute, an hour, a day, a week, thirty days; what is beyond is the last one.
AGES_S = (60, 3_600, 86_400, 604_800, 2_592_000)


class SampleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many keys are looked at, and how gently.

    `keys` in all databases together, `batch` at a time, down to a quarter where that takes over `batch_ms`.
    After each batch comes a pause: no more than `rate` keys a second, and at least `pause_ratio` times what
    it took. `budget_s` is the time of all.
    `patterns` at most are told apart; of each type so many of the `largest` and fullest keys are kept;
    a string up to `small` bytes is small.
    """

    keys: int = 10_000
    batch: int = 20
    batch_ms: float = 2.0
    rate: float = 1_000.0
    pause_ratio: float = 2.0
    budget_s: float = 15.0
    patterns: int = 200
    largest: int = 20
    small: int = 200


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `ttl_s` is None where it never expires; `idle_s` or `frequency` is None by the policy.

    `size` is what it takes, in bytes. `elements` is None where it was not asked for: the value is small.
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

    `ttl` and `idle` count the keys up to each of AGES_S, and beyond; `endless` those that never expire;
    `frequency` is the sum of OBJECT FREQ, `names` the bytes of the keys' names, `small` the small strings.
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
    names: int = 0
    small: int = 0
    most_elements: int = 0

    def merge(self, other: Self) -> None:
        """Take in what another pattern counted."""
        for name in ("keys", "size", "endless", "endless_size", "frequency", "names", "small"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for mine, theirs in ((self.types, other.types), (self.encodings, other.encodings)):
            for name, count in theirs.items():
                mine[name] = mine.get(name, 0) + count
        self.ttl = [a + b for a, b in zip(self.ttl, other.ttl, strict=True)]
        self.idle = [a + b for a, b in zip(self.idle, other.idle, strict=True)]
        self.most_elements = max(self.most_elements, other.most_elements)


class Keyspace(msgspec.Struct, frozen=True, kw_only=True):
    """A sample: `sampled` of `total` keys, all of them if `complete`; what is said of the rest is estimated.

    `patterns` come with the most bytes first. `largest` has the keys of each type with the most bytes,
    `fullest` those with the most elements, up to `kept` each. `wide` counts by type the keys that lost their
    compact encoding by a few elements (see WIDE).
    `unreadable` keys are those that the user may not look at.
    `lookups` is what the sample itself added to keyspace_hits.
    """

    sampled: int
    total: int
    complete: bool
    patterns: tuple[Pattern, ...]
    largest: dict[str, tuple[Key, ...]]
    fullest: dict[str, tuple[Key, ...]]
    types: dict[str, int]
    wide: dict[str, int]
    kept: int
    unreadable: int
    lookups: int
    duration_s: float

    @property
    def extent(self) -> str:
        """`all 120 keys`, or `10,000 of 1,000,000 keys, the rest estimated`."""
        if self.complete:
            return f"all {self.sampled:,} keys"
        return f"{self.sampled:,} of {self.total:,} keys, the rest estimated"

    def estimated(self, count: float) -> int:
        """Return what a count or size in the sample comes to in all keys."""
        rest = 1.0 if self.complete or not self.sampled else self.total / self.sampled
        return round(count * rest)


class Wide(msgspec.Struct, frozen=True):
    """The setting that limits a compact encoding, its default, and the encoding beyond it."""

    setting: str
    older: str
    default: int
    encoding: str


# The names before 7.0 are aliases that CONFIG GET * of a newer server gives as well.
WIDE = {
    "hash": Wide("hash-max-listpack-entries", "hash-max-ziplist-entries", 512, "hashtable"),
    "zset": Wide("zset-max-listpack-entries", "zset-max-ziplist-entries", 128, "skiplist"),
    "set": Wide("set-max-listpack-entries", "", 0, "hashtable"),  # from 7.2 on; 0: there is no such encoding
}
# A compact encoding is searched from its start: beyond this many elements that costs more than it saves.
MOST_COMPACT = 1_024


def compact(kind: str, config: Mapping[str, str]) -> int:
    """Return up to how many elements a hash, set or zset can be compact by `config`."""
    wide = WIDE[kind]
    return whole(config.get(wide.setting) or config.get(wide.older) or wide.default)


def take(
    client: Client,
    settings: SampleSettings,
    info: Mapping[str, str],
    config: Mapping[str, str],
    databases: Mapping[int, Database],
    *,
    tell: Callable[[str], None] = lambda _text: None,
    see: Callable[[Key], None] = lambda _key: None,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Keyspace:
    """Sample the keys of `databases`, each by its share of the keys; `see` is shown every one of them.

    Raises redis' ResponseError where a command is refused, ConnectionError where the server is lost.
    """
    began = clock()
    total = sum(database.keys for database in databases.values())
    sample = _Sample(client, settings, info, config, see)
    complete, size, least = True, settings.batch, max(1, settings.batch // 4)
    home = client.connection.db if client.connection else 0
    for database, held in sorted(databases.items()):
        if database != home or len(databases) > 1:
            _ask(client, "SELECT", database)
        keys = _Scan(client, max(1, round(settings.keys * held.keys / max(1, total))))
        while names := keys.next(size):
            asked = clock()
            sample.add(database, names)
            took = clock() - asked
            size = min(settings.batch, size + 1) if 1000 * took < settings.batch_ms else max(least, size // 2)
            tell(f"looking at keys, {sample.sampled:,} of {min(total, settings.keys):,}")
            pause(max(settings.pause_ratio * took, len(names) / settings.rate - took))
            if clock() - began > settings.budget_s:
                break
        complete = complete and keys.complete
    if databases:
        _ask(client, "SELECT", home)
    return sample.keyspace(total, complete, clock() - began)


class _Scan:
    """The names of keys of the database that is selected, up to `most`, a few at a time."""

    def __init__(self, client: Client, most: int) -> None:
        self._client, self._most = client, most
        self._cursor: bytes | None = b"0"
        self._names: list[bytes] = []

    @property
    def complete(self) -> bool:
        """Whether those were all."""
        return self._cursor is None and not self._names

    def next(self, size: int) -> list[bytes]:
        """Return about `size` names; none at the end."""
        while not self._names and self._cursor is not None and self._most > 0:
            cursor, self._names = _ask(self._client, "SCAN", self._cursor, "COUNT", _BATCHES_A_SCAN * size)
            self._cursor = None if cursor == b"0" else cursor
        names, self._names = self._names[:size], self._names[size:]
        self._most -= len(names)
        if self._most <= 0 and self._cursor is not None:
            self._names = []
        return names


def _ask(client: Client, *command: str | bytes | int) -> Any:  # noqa: ANN401 - as the server answers
    (reply,) = replies(client, [command])
    if isinstance(reply, errors.RedisError):
        raise reply
    return reply


_COUNTS = {b"hash": "HLEN", b"set": "SCARD", b"zset": "ZCARD", b"list": "LLEN", b"stream": "XLEN"}
# A value that is smaller holds too few elements for any rule.
_COUNTED_SIZE = 1_000
# What is told apart while it is counted; of this the first ones are shown.
_MOST_PATTERNS = 4_000
# A SCAN of so many names costs the server less than what one batch does.
_BATCHES_A_SCAN = 4
# Without NO-TOUCH counting makes a key look used: only keys that were used this recently are counted.
_RECENT_S = 3_600


class _Sample:
    """What was seen of the keys so far."""

    def __init__(
        self,
        client: Client,
        settings: SampleSettings,
        info: Mapping[str, str],
        config: Mapping[str, str],
        see: Callable[[Key], None],
    ) -> None:
        self._client, self._settings, self._see = client, settings, see
        self._lfu = "lfu" in info.get("maxmemory_policy", "")
        (reply,) = replies(client, [("CLIENT", "NO-TOUCH", "ON")])
        self._traceless = reply == b"OK"
        self._compact = {kind: compact(kind, config) for kind in WIDE}
        self._patterns: dict[int, Patterns[Pattern]] = {}
        self._largest: dict[str, list[Key]] = {}
        self._fullest: dict[str, list[Key]] = {}
        self._types: dict[str, int] = {}
        self._wide: dict[str, int] = {}
        self._unreadable = 0
        self._lookups = 0
        self.sampled = 0

    def add(self, database: int, names: Sequence[bytes]) -> None:
        """Look at keys of the database that is selected. Those that are gone by now are left out."""
        age = "FREQ" if self._lfu else "IDLETIME"
        commands: list[Command] = []
        for name in names:
            commands += [("TYPE", name), ("PTTL", name), ("MEMORY", "USAGE", name)]
            commands += [("OBJECT", "ENCODING", name), ("OBJECT", age, name)]
        answers = replies(self._client, commands)
        rows = [(name, answers[5 * at : 5 * at + 5]) for at, name in enumerate(names)]
        readable = [(name, row) for name, row in rows if self._readable(row)]
        self._lookups += sum(4 for _, row in readable if row[1] != -2)
        counted = [(name, row) for name, row in readable if self._worth_counting(row)]
        counts = replies(self._client, [(_COUNTS[row[0]], name) for name, row in counted]) if counted else []
        self._lookups += len(counted)
        elements = dict(zip((name for name, _ in counted), counts, strict=True))
        for name, row in readable:
            if isinstance(row[2], int):
                self._note(self._key(database, name, row, elements.get(name)))

    def _readable(self, row: Sequence[Any]) -> bool:
        """Whether the user may look at the key. Raises NoPermissionError where a command is not allowed."""
        for answer in row:
            if isinstance(answer, errors.NoPermissionError):
                if "key" not in str(answer).replace("'keys'", ""):
                    raise answer
                self._unreadable += 1
                return False
        return True

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
        self._see(key)
        self._types[key.type] = self._types.get(key.type, 0) + 1
        _count(self._of(key.database).of(key.name), key, self._settings.small)
        _keep(self._largest.setdefault(key.type, []), key, self._settings.largest, attrgetter("size"))
        if key.elements is not None:
            _keep(self._fullest.setdefault(key.type, []), key, self._settings.largest, _elements)
        wide = WIDE.get(key.type)
        if wide and key.encoding == wide.encoding:
            past = 0 < self._compact[key.type] < (key.elements or 0) <= MOST_COMPACT
            self._wide[key.type] = self._wide.get(key.type, 0) + past

    def _of(self, database: int) -> Patterns[Pattern]:
        return self._patterns.setdefault(
            database, Patterns(lambda: Pattern(name="", database=database), _MOST_PATTERNS)
        )

    def keyspace(self, total: int, complete: bool, seconds: float) -> Keyspace:
        """Return what was seen."""
        return Keyspace(
            sampled=self.sampled,
            total=max(total, self.sampled),
            complete=complete and not self._unreadable,
            patterns=self._first_patterns(),
            largest={kind: tuple(keys) for kind, keys in sorted(self._largest.items())},
            fullest={kind: tuple(keys) for kind, keys in sorted(self._fullest.items())},
            types=dict(sorted(self._types.items())),
            wide=dict(sorted(self._wide.items())),
            kept=self._settings.largest,
            unreadable=self._unreadable,
            lookups=self._lookups,
            duration_s=seconds,
        )

    def _first_patterns(self) -> tuple[Pattern, ...]:
        found = []
        for patterns in self._patterns.values():
            for name, counted in patterns.all():
                counted.name = name
                found.append(counted)
        found.sort(key=lambda one: (one.name == OTHER, -one.size, one.database, one.name))
        first, rest = found[: self._settings.patterns], found[self._settings.patterns :]
        if rest:
            other = Pattern(name=OTHER, database=rest[0].database)
            for one in rest:
                other.merge(one)
            first.append(other)
        return tuple(first)


def _elements(key: Key) -> int:
    return key.elements or 0


def _keep(kept: list[Key], key: Key, most: int, by: Callable[[Key], int]) -> None:
    """Keep `key` where it is among the `most` with the highest `by`."""
    if len(kept) < most or by(key) > by(kept[-1]):
        kept.append(key)
        kept.sort(key=by, reverse=True)
        del kept[most:]


def _count(found: Pattern, key: Key, small: int) -> None:
    found.keys += 1
    found.size += key.size
    found.names += len(key.name)
    found.small += key.type == "string" and key.size <= small
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
