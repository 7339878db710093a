"""Keys fall together by pattern, in bounded memory, whatever they are called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.redis.patterns import FAN_OUT, OTHER, Patterns, pattern


class Count:
    def __init__(self) -> None:
        self.keys = 0

    def merge(self, other: Count) -> None:
        self.keys += other.keys


def counted(keys: list[bytes], most: int = 100) -> dict[str, int]:
    patterns = Patterns(Count, most)
    for key in keys:
        patterns.of(key).keys += 1
    return {name: count.keys for name, count in patterns.all()}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"player:23", "player:*"),
        (b"api:game:0022500001:box", "api:game:*:box"),
        (b"session:9b2f6a1e-0d52-4c53-9d6e-5a9d8f0b7c11", "session:*"),
        (b"cache:deadbeefdeadbeefdeadbeefdeadbeef", "cache:*"),
        (b"report:2026-11-22", "report:*-*-*"),
        (b"config", "config"),
        (b"{user:7}.cart", "{user:*}.cart"),
        (b"", ""),
        (b"a\x00b\xff\n", "a?b�?"),
    ],
)
def test_what_varies_is_a_star(key: bytes, expected: str) -> None:
    assert pattern(key) == expected


def test_many_names_in_one_place_are_a_star() -> None:
    names = [f"user:{chr(97 + a)}{chr(97 + b)}:cart".encode() for a in range(20) for b in range(20)]
    assert counted([*names, b"config"]) == {"user:*:cart": 400, "config": 1}


def test_many_kinds_with_many_keys_each_stay_apart() -> None:
    kinds = [f"table{chr(97 + n % 26) * (1 + n // 26)}" for n in range(2 * FAN_OUT)]
    keys = [f"{kind}:{number}".encode() for number in range(50) for kind in kinds[:30]]
    keys += [f"{kind}:{number}".encode() for kind in kinds[30:] for number in range(50)]
    assert len(counted(keys)) == 2 * FAN_OUT


def test_a_hexadecimal_number_without_a_digit_is_one_of_its_neighbours() -> None:
    assert counted([f"session:{number:x}".encode() for number in range(0xAB0, 0xB00)]) == {"session:*": 80}


def test_what_does_not_fit_is_counted_as_other() -> None:
    found = counted([b"a", b"b", b"c", b"a"], most=2)
    assert found == {"a": 2, "b": 1, OTHER: 1}


@given(st.lists(st.binary(max_size=40) | st.text("ab:1*", max_size=12).map(str.encode), max_size=300))
def test_no_key_is_lost_and_names_can_be_shown(keys: list[bytes]) -> None:
    patterns = Patterns(Count, 50)
    for key in keys:
        patterns.of(key).keys += 1
    found = list(patterns.all())
    assert sum(count.keys for _, count in found) == len(keys)
    assert len(found) <= 51
    assert all(name.isprintable() and len(name) <= 120 for name, _ in found)
