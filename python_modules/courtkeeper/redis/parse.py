"""Reading the replies of a server. Whatever comes in, nothing is raised: what cannot be read is left out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from courtkeeper.redis.patterns import printable

# What CONFIG GET shows in the clear, and nobody needs to see.
_SECRET = re.compile(r"pass$|^masterauth$|^primaryauth$|^sentinel-pass$|-pass$")


class Event(msgspec.Struct, frozen=True):
    """An event of LATENCY LATEST: when it was last (Unix time), and how long then and at worst, in ms."""

    name: str
    at: int
    latest_ms: int
    most_ms: int


class Histogram(msgspec.Struct, frozen=True):
    """Calls and the cumulative counts of LATENCY HISTOGRAM: `buckets` are (up to so many µs, calls)."""

    calls: int = 0
    buckets: tuple[tuple[int, int], ...] = ()

    def percentile(self, share: float) -> float | None:
        """Return the upper edge, in µs, of the bucket that holds the `share` (0..1); None without calls.

        The server's buckets double, so that it is up to twice the true value.
        """
        return next((float(edge) for edge, count in self.buckets if count >= share * self.calls), None)

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was counted after `earlier`; all of it where the server has started again since."""
        if earlier.calls > self.calls:
            return self
        before = _Steps(earlier)
        return Histogram(
            self.calls - earlier.calls,
            tuple((edge, max(0, count - before.at(edge))) for edge, count in self.buckets),
        )


class SlowCommand(msgspec.Struct, frozen=True):
    """An entry of SLOWLOG: its number, Unix time, µs, and the command's name without arguments."""

    number: int
    at: int
    us: int
    command: str


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A line of CLIENT LIST. `output` and `memory` are bytes; `flags` as the server writes them (`S`)."""

    number: int
    name: str
    user: str
    address: str
    database: int
    age_s: int
    idle_s: int
    flags: str
    output: int
    memory: int
    command: str


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user of ACL LIST; nothing of its passwords but whether it needs none."""

    name: str
    on: bool
    nopass: bool
    all_commands: bool
    all_keys: bool


class CommandStats(msgspec.Struct, frozen=True, kw_only=True):
    """A command since the start: calls, µs in all, refused, failed, and percentiles in µs (None: unknown)."""

    calls: int
    us: int
    rejected: int = 0
    failed: int = 0
    p50: float | None = None
    p99: float | None = None


class Database(msgspec.Struct, frozen=True):
    """A logical database: its keys, those that expire, and their average time to live in seconds."""

    keys: int
    expires: int
    ttl_s: float


def number(value: object, default: float | None = None) -> float | None:
    """Return a number that a server wrote; `default` for what is none."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return default
    return found if math.isfinite(found) else default


def whole(value: object) -> int:
    """Return a whole number that a server wrote; 0 for what is none."""
    return int(number(value) or 0)


def text(value: object) -> str:
    """Return a reply as text that can be shown."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) else ""


def pairs(reply: object) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a flat list."""
    if isinstance(reply, list):
        for name, value in zip(reply[::2], reply[1::2], strict=False):
            if isinstance(name, bytes):
                yield name.decode(errors="replace"), value


def fields(line: str, between: str, equals: str) -> dict[str, str]:
    """Return `a=1,b=2` as a dict."""
    cut = (word.partition(equals) for word in line.split(between))
    return {name: value for name, sign, value in cut if sign}


def config(reply: object) -> dict[str, str]:
    """Return CONFIG GET; secrets are `***` where they are set."""
    found = {name.lower(): text(value) for name, value in pairs(reply)}
    return {name: "***" if value and _SECRET.search(name) else value for name, value in found.items()}


def events(reply: object) -> tuple[Event, ...]:
    """Return LATENCY LATEST."""
    return tuple(
        Event(printable(text(row[0])), whole(row[1]), whole(row[2]), whole(row[3]))
        for row in _rows(reply)
        if len(row) >= 4
    )


def histograms(reply: object) -> dict[str, Histogram]:
    """Return LATENCY HISTOGRAM by command (`config|get`)."""
    found = {}
    for name, value in pairs(reply):
        row = dict(pairs(value))
        counts = row.get("histogram_usec")
        if isinstance(counts, list):
            steps = tuple((whole(a), whole(b)) for a, b in zip(counts[::2], counts[1::2], strict=False))
            found[name] = Histogram(whole(row.get("calls")), tuple(sorted(steps)))
    return found


def together(parts: Iterable[Histogram]) -> Histogram:
    """Return several histograms as one."""
    held = list(parts)
    edges = sorted({edge for one in held for edge, _ in one.buckets})
    steps = [_Steps(one) for one in held]
    return Histogram(
        sum(one.calls for one in held), tuple((edge, sum(step.at(edge) for step in steps)) for edge in edges)
    )


def slow_commands(reply: object) -> tuple[SlowCommand, ...]:
    """Return SLOWLOG GET without the commands' arguments, which are people's data."""
    found = []
    for row in _rows(reply):
        if len(row) >= 4 and isinstance(row[3], list) and row[3]:
            name = printable(text(row[3][0]).lower())
            found.append(SlowCommand(whole(row[0]), whole(row[1]), whole(row[2]), name))
    return tuple(found)


def memory(reply: object) -> dict[str, float]:
    """Return the numbers of MEMORY STATS; those of a database by `db.0:overhead.hashtable.main`."""
    found = {}
    for name, value in pairs(reply):
        inner = [(f"{name}:{part}", more) for part, more in pairs(value)] or [(name, value)]
        for full, given in inner:
            if (read := number(given)) is not None:
                found[full] = read
    return found


def clients(reply: object) -> tuple[Client, ...]:
    """Return CLIENT LIST."""
    found = []
    for line in text(reply).splitlines():
        row = fields(line, " ", "=")
        if "id" in row:
            found.append(
                Client(
                    number=whole(row["id"]),
                    name=printable(row.get("name", "")),
                    user=printable(row.get("user", "")),
                    address=printable(row.get("addr", "")),
                    database=whole(row.get("db")),
                    age_s=whole(row.get("age")),
                    idle_s=whole(row.get("idle")),
                    flags=row.get("flags", ""),
                    output=whole(row.get("omem")),
                    memory=whole(row.get("tot-mem")),
                    command=printable(row.get("cmd", "")),
                )
            )
    return tuple(found)


def users(reply: object) -> tuple[User, ...]:
    """Return ACL LIST."""
    found = []
    for line in reply if isinstance(reply, list) else []:
        words = text(line).split(" ")
        if len(words) >= 2 and words[0] == "user":
            rules = set(words[2:])
            found.append(
                User(
                    name=printable(words[1]),
                    on="on" in rules,
                    nopass="nopass" in rules,
                    all_commands="+@all" in rules,
                    all_keys="~*" in rules,
                )
            )
    return tuple(found)


def command_stats(info: Mapping[str, str]) -> dict[str, CommandStats]:
    """Return the sections commandstats and latencystats of INFO by command."""
    found = {}
    for name, value in info.items():
        if name.startswith("cmdstat_"):
            command = name.removeprefix("cmdstat_")
            row = fields(value, ",", "=")
            times = fields(info.get(f"latency_percentiles_usec_{command}", ""), ",", "=")
            found[command] = CommandStats(
                calls=whole(row.get("calls")),
                us=whole(row.get("usec")),
                rejected=whole(row.get("rejected_calls")),
                failed=whole(row.get("failed_calls")),
                p50=number(times.get("p50")),
                p99=number(times.get("p99")),
            )
    return found


def databases(info: Mapping[str, str]) -> dict[int, Database]:
    """Return the section keyspace of INFO by the database's number; empty databases are not in it."""
    found = {}
    for name, value in info.items():
        if match := re.fullmatch(r"db([0-9]{1,9})", name):
            row = fields(value, ",", "=")
            found[int(match[1])] = Database(
                whole(row.get("keys")), whole(row.get("expires")), (number(row.get("avg_ttl")) or 0) / 1000
            )
    return found


def _rows(reply: object) -> Iterator[list[Any]]:
    for row in reply if isinstance(reply, list) else []:
        if isinstance(row, list):
            yield row


class _Steps:
    """A histogram's count up to any edge: buckets that are empty are not in it."""

    def __init__(self, histogram: Histogram) -> None:
        self._buckets = histogram.buckets

    def at(self, edge: int) -> int:
        return max((count for upper, count in self._buckets if upper <= edge), default=0)
