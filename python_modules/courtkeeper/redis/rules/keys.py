"""The keys: what the sample says of their sizes and shapes, and whether they are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.keyspace import MOST_COMPACT, WIDE, Key, Keyspace, compact
from courtkeeper.redis.patterns import printable
from courtkeeper.redis.rule import KEEP, Limit, Rule, UntoldError, megabytes, told
from courtkeeper.redis.snapshot import Snapshot

INSIGHT = "RedisInsight"
# What the sample itself looks up for each key beside the one OBJECT ENCODING by which it is known.
_LOOKUPS_A_KEY = 4
_SAMPLED = ("info", "keys")


class HitRate(Rule):
    """Looks for a cache that does not find what it is asked for. What our own samples found is taken off."""

    name = "hit_rate"
    title = "caches that miss too often"
    limits: ClassVar = {
        "warn": Limit(90, "% found", "reference: target over 95 %, alert under 90 %"),
        "lookups": Limit(1_000, "lookups, to say anything", "our choice"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        ours = snapshot.commands.get("object|encoding")
        hits = told(snapshot, "keyspace_hits") - _LOOKUPS_A_KEY * (ours.calls if ours else 0)
        lookups = max(0, hits) + told(snapshot, "keyspace_misses")
        rate = 100 * max(0, hits) / max(1, lookups)
        if lookups >= self.limit["lookups"] and rate < self.limit["warn"]:
            yield self.finding(
                "keyspace_hits",
                Status.WARN,
                f"{rate:.1f} % of {lookups:,.0f} lookups since the start found their key; a cache finds "
                "over 95 %.",
                observed=round(rate, 1),
                threshold=self.limit["warn"],
                unit="%",
                fix="longer times to live, more memory where keys are evicted, filling before the rush; "
                "then CONFIG RESETSTAT, which begins the count anew",
            )


class Databases(Rule):
    """Looks for several logical databases in one server: they share its thread, limit and password."""

    name = "databases"
    title = "several logical databases"
    limits: ClassVar = {"warn": Limit(1, "logical databases with keys", INSIGHT)}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        used = sorted(snapshot.databases)
        if len(used) > self.limit["warn"]:
            yield self.finding(
                "databases",
                Status.WARN,
                f"{len(used)} logical databases have keys: {', '.join(map(str, used))}.",
                observed=len(used),
                threshold=self.limit["warn"],
                fix="a server for each, or one database with a prefix for each (MOVE takes a key to another)",
            )


class Many(Rule):
    """Looks for so many keys that their names alone take much memory."""

    name = "many"
    title = "very many keys"
    limits: ClassVar = {"warn": Limit(1_000_000, "keys", INSIGHT)}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        count = sum(database.keys for database in snapshot.databases.values())
        if count > self.limit["warn"]:
            keys = snapshot.keys
            names = sum(one.names for one in keys.patterns) / keys.sampled if keys and keys.sampled else 0
            yield self.finding(
                "keys",
                Status.WARN,
                f"There are {count:,} keys"
                + (f", whose names have {names:.0f} bytes on average." if names else "."),
                observed=count,
                threshold=self.limit["warn"],
                fix="shorter names, a time to live, or hashes that hold many small values each",
            )


class SmallStrings(Rule):
    """Looks for many small strings, each of which takes more for itself than for its value."""

    name = "small_strings"
    title = "many small strings"
    needs = _SAMPLED
    limits: ClassVar = {
        "keys": Limit(50_000, "strings under 200 B", "RedisInsight's 200 B; the number is our choice"),
        "warn": Limit(50, "% of all keys", "our choice"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        keys = _keys(snapshot)
        small = keys.estimated(sum(one.small for one in keys.patterns))
        share = 100 * small / max(1, keys.total)
        if small >= self.limit["keys"] and share >= self.limit["warn"]:
            most = max(keys.patterns, key=lambda one: one.small)
            yield self.finding(
                most.name,
                Status.WARN,
                f"About {small:,} strings take under 200 bytes ({keys.extent}), most of them {most.name}: "
                "each takes some 50 bytes for itself.",
                observed=small,
                threshold=self.limit["keys"],
                unit="keys",
                fix="hold them in hashes of some hundred fields: HSET name:{number // 100} number value",
            )


class _Full(Rule):
    """Keys of one type with more elements than is good."""

    needs = _SAMPLED
    type: ClassVar[str]
    noun: ClassVar[str]

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        keys = _keys(snapshot)
        full = [key for key in keys.fullest.get(self.type, ()) if (key.elements or 0) > self.limit["warn"]]
        if full:
            key = full[0]
            yield self.finding(
                _shown(key),
                Status.WARN,
                f"{_at_least(keys, full)} {self.type} keys have over {self.limit['warn']:,.0f} {self.noun} "
                f"({keys.extent}); {_shown(key)} has {key.elements:,}.",
                observed=key.elements,
                threshold=self.limit["warn"],
                unit=self.noun,
            )


class BigHash(_Full):
    """Looks for hashes to be cut into several."""

    name = "big_hash"
    title = "hashes with too many fields"
    type, noun = "hash", "fields"
    fix = "cut it into hashes of fewer fields by a number in the name: HSET name:{number} …, then UNLINK it"
    limits: ClassVar = {"warn": Limit(5_000, "fields", INSIGHT)}


class BigSet(_Full):
    """Looks for sets to be cut into several."""

    name = "big_set"
    title = "sets with too many members"
    type, noun = "set", "members"
    fix = (
        "cut it into several; PFADD where only their number counts, a bitmap where members are small numbers"
    )
    limits: ClassVar = {"warn": Limit(1_000, "members", INSIGHT)}


class BigString(Rule):
    """Looks for strings that hold the server up while they are read or written."""

    name = "big_string"
    title = "strings too long"
    needs = _SAMPLED
    limits: ClassVar = {"warn": Limit(100_000, "bytes", INSIGHT)}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        keys = _keys(snapshot)
        big = [key for key in keys.largest.get("string", ()) if key.size > self.limit["warn"]]
        if big:
            yield self.finding(
                _shown(big[0]),
                Status.WARN,
                f"{_at_least(keys, big)} strings take over {self.limit['warn']:,.0f} bytes ({keys.extent}); "
                f"{_shown(big[0])} takes {megabytes(big[0].size)}.",
                observed=big[0].size,
                threshold=self.limit["warn"],
                unit="bytes",
                fix="compress it, cut it into parts, or keep it elsewhere and here only where it is",
            )


class LongList(Rule):
    """Looks for long lists whose middle could be compressed."""

    name = "long_list"
    title = "long lists that are not compressed"
    needs = ("info", "config", "keys")
    limits: ClassVar = {"warn": Limit(1_000, "elements", INSIGHT)}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        keys = _keys(snapshot)
        full = [key for key in keys.fullest.get("list", ()) if (key.elements or 0) > self.limit["warn"]]
        if full and snapshot.config.get("list-compress-depth", "0") == "0":
            yield self.finding(
                _shown(full[0]),
                Status.WARN,
                f"{_at_least(keys, full)} lists have over {self.limit['warn']:,.0f} elements ({keys.extent}) "
                f"and are not compressed; {_shown(full[0])} has {full[0].elements:,}.",
                observed=full[0].elements,
                threshold=self.limit["warn"],
                unit="elements",
                fix=f"CONFIG SET list-compress-depth 1; {KEEP} -- lists are compressed when next written",
                undo="CONFIG SET list-compress-depth 0",
            )


class FieldNames(Rule):
    """Looks for hashes so full that shorter names of their fields would save much."""

    name = "field_names"
    title = "hashes whose field names take much"
    needs = _SAMPLED
    limits: ClassVar = {
        "warn": Limit(1_000, "fields", INSIGHT),
        "most": Limit(5_000, "fields, beyond which keys.big_hash speaks", INSIGHT),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        keys = _keys(snapshot)
        full = [
            key
            for key in keys.fullest.get("hash", ())
            if self.limit["warn"] < (key.elements or 0) <= self.limit["most"]
        ]
        if full:
            yield self.finding(
                _shown(full[0]),
                Status.WARN,
                f"{_at_least(keys, full)} hashes have over {self.limit['warn']:,.0f} fields ({keys.extent}), "
                f"each with its name; {_shown(full[0])} has {full[0].elements:,}.",
                observed=full[0].elements,
                threshold=self.limit["warn"],
                unit="fields",
                fix="shorter names for the fields, or several hashes of up to some hundred fields",
            )


class Encoding(Rule):
    """Looks for many keys that a slightly higher setting would hold in a compact encoding."""

    name = "encoding"
    title = "keys just past their compact encoding"
    needs = ("info", "config", "keys")
    limits: ClassVar = {
        "warn": Limit(100, "keys of a type", "our choice"),
        "share": Limit(10, "% of the type's keys", "our choice"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        keys = _keys(snapshot)
        for kind, wide in WIDE.items():
            past = keys.estimated(keys.wide.get(kind, 0))
            share = 100 * keys.wide.get(kind, 0) / max(1, keys.types.get(kind, 0))
            if past < self.limit["warn"] or share < self.limit["share"]:
                continue
            most = compact(kind, snapshot.config)
            name = wide.setting if wide.setting in snapshot.config else wide.older
            yield self.finding(
                name,
                Status.WARN,
                f"About {past:,} {kind} keys ({keys.extent}) have over {most} elements and up to "
                f"{MOST_COMPACT}: compact they would take a fraction ({wide.encoding} now).",
                observed=past,
                threshold=self.limit["warn"],
                unit="keys",
                fix=f"CONFIG SET {name} {MOST_COMPACT}; {KEEP} -- keys change when they are written anew",
                undo=f"CONFIG SET {name} {most}",
            )


def _keys(snapshot: Snapshot) -> Keyspace:
    if snapshot.keys is None:
        raise UntoldError("its keys")
    return snapshot.keys


def _at_least(keys: Keyspace, found: list[Key]) -> str:
    """Return how many there are: only the first ones are kept, and of a sample more is not known."""
    return f"{len(found)}" if keys.complete and len(found) < keys.kept else f"At least {len(found)}"


def _shown(key: Key) -> str:
    name = printable(key.name.decode(errors="replace"))
    return name if not key.database else f"{name} (database {key.database})"
