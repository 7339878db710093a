"""Replies are read as they come; what is no such reply is left out, and nothing is raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.redis import parse
from courtkeeper.redis.parse import Histogram

scalars = st.none() | st.integers() | st.binary(max_size=30) | st.sampled_from([
    b"calls", b"histogram_usec", b"user default on nopass ~* +@all", b"id=3 addr=1.2.3.4:5 omem=x",
    b"requirepass", b"db.0",
])  # fmt: skip
replies = st.recursive(scalars, lambda inner: st.lists(inner, max_size=6), max_leaves=30)
READERS: list[Callable[[Any], Any]] = [
    parse.config, parse.events, parse.histograms, parse.slow_commands, parse.memory, parse.clients,
    parse.users, parse.text, parse.number, parse.whole,
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@given(reply=replies)
def test_any_reply_is_read(reader: Callable[[Any], Any], reply: Any) -> None:
    reader(reply)


@given(st.dictionaries(st.from_regex(r"(db|cmdstat_|x)[a-z0-9]{0,3}", fullmatch=True), st.text(max_size=40)))
def test_any_info_is_read(info: dict[str, str]) -> None:
    parse.databases(info)
    parse.command_stats(info)


def test_secrets_are_not_kept() -> None:
    names = ["requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass"]
    reply = [word.encode() for name in [*names, "masteruser"] for word in (name, "secret")]
    assert parse.config(reply) == {**dict.fromkeys(names, "***"), "masteruser": "secret"}
    assert parse.config([b"requirepass", b""]) == {"requirepass": ""}


def test_a_slow_command_keeps_nothing_of_its_arguments() -> None:
    row = [7, 1_700_000_000, 12_345, [b"SET", b"player:jane", b"secret"], b"127.0.0.1:5", b"name"]
    (entry,) = parse.slow_commands([row])
    assert (entry.number, entry.us, entry.command) == (7, 12_345, "set")


def test_percentiles_of_a_histogram() -> None:
    histogram = Histogram(100, ((1, 10), (2, 60), (8, 99), (1024, 100)))
    assert [histogram.percentile(share) for share in (0.1, 0.5, 0.99, 1)] == [1, 2, 8, 1024]
    assert Histogram().percentile(0.99) is None
    later = Histogram(200, ((1, 10), (2, 60), (4, 150), (8, 199), (1024, 200)))
    since = later.since(histogram)
    assert since.calls == 100
    assert since.percentile(0.5) == 4
    assert histogram.since(later) == histogram  # started again
    both = parse.together([histogram, since])
    assert both.calls == 200
    assert both.buckets[-1] == (1024, 200)


Counts = dict[int, int]
steps = st.dictionaries(st.integers(1, 12).map(lambda n: 2**n), st.integers(1, 50), max_size=8)


@given(steps, steps)
def test_what_came_after_is_what_was_added(before: Counts, added: Counts) -> None:
    first, more = _histogram(before), _histogram(added)
    since = parse.together([first, more]).since(first)
    assert since.calls == more.calls
    for share in (0.5, 0.9, 0.99):
        if more.calls:
            assert since.percentile(share) == more.percentile(share)


def _histogram(counts: Counts) -> Histogram:
    total, buckets = 0, []
    for edge, count in sorted(counts.items()):
        total += count
        buckets.append((edge, total))
    return Histogram(total, tuple(buckets))
