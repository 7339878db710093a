"""The upkeep of a cache in its parts. What comes from outside is fuzzed."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.upkeep import counters, memory, rates
from courtkeeper.redis.upkeep.globs import Glob, first_match
from courtkeeper.redis.upkeep.pace import Pace, PutOffError
from courtkeeper.redis.upkeep.settings import UpkeepSettings, upkeep_settings_from
from courtkeeper.redis.upkeep.state import Reading, State, decoded

FEW = st.text(alphabet="ab:*", max_size=8)
KEYS = st.text(alphabet="ab:", max_size=8)
NUMBERS = st.integers(0, 10**12)


class TestGlobs:
    @given(FEW, KEYS)
    def test_it_matches_as_a_regular_expression_does(self, pattern: str, key: str) -> None:
        wanted = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), key) is not None
        assert Glob(pattern).matches(key.encode()) is wanted

    @given(FEW, FEW, KEYS)
    @example("a*b", "a*:b", "a:b")
    def test_patterns_that_share_a_key_overlap(self, one: str, other: str, key: str) -> None:
        assert Glob(one).overlaps(Glob(other)) is Glob(other).overlaps(Glob(one))
        if Glob(one).matches(key.encode()) and Glob(other).matches(key.encode()):
            assert Glob(one).overlaps(Glob(other))

    @given(FEW, FEW, KEYS)
    def test_what_covers_a_pattern_matches_its_keys(self, one: str, other: str, key: str) -> None:
        if Glob(one).covers(other):
            assert Glob(one).overlaps(Glob(other))
            assert not Glob(other).matches(key.encode()) or Glob(one).matches(key.encode())

    @pytest.mark.parametrize(
        ("one", "other", "overlap"),
        [
            ("api:game:*", "api:generation:*", False),
            ("api:g*", "api:generation:*", True),
            ("api:games:*", "api:game:*", False),
            ("a*c", "ab", False),
            ("a*", "a", True),
            ("*", "anything", True),
            ("a*b", "b*a", False),
            ("a*b*", "*b", True),
        ],
    )
    def test_examples(self, one: str, other: str, overlap: bool) -> None:
        assert Glob(one).overlaps(Glob(other)) is overlap

    def test_an_unkind_key_takes_no_time(self) -> None:
        assert not Glob("*".join("a" * 50) + "*b").matches(b"a" * 1_000_000)

    @given(st.binary(max_size=60))
    def test_a_key_may_be_any_bytes(self, key: bytes) -> None:
        assert first_match([Glob("api:*"), Glob("ü*")], key) in (None, 0, 1)


ANYTHING = st.recursive(
    st.none() | st.integers() | st.binary(max_size=40) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=20,
)


class TestCounters:
    @given(st.lists(ANYTHING, max_size=5))
    def test_whatever_is_in_the_hash_nothing_is_raised(self, answers: list[Any]) -> None:
        for pattern, (hits, misses) in counters.counted(answers).items():
            assert pattern.isprintable()
            assert hits >= 0 <= misses

    def test_hashes_are_added_up(self) -> None:
        one = [b"hit:a:*", b"5", b"miss:a:*", b"2", b"else", b"9", b"hit:", b"3"]
        assert counters.counted([one, [b"hit:a:*", b"1"]]) == {"a:*": (6, 2)}

    def test_they_are_bounded(self) -> None:
        flat = [part for number in range(1000) for part in (b"hit:p%d" % number, b"1")]
        assert len(counters.counted([flat])) == 200


def reading(at: float, hits: int, misses: int, **more: Any) -> Reading:
    return Reading(at=at, counters={"a:*": (hits, misses)}, **more)


class TestRates:
    A = Glob("a:*")

    def rate(self, now: tuple[int, int], *readings: Reading, after: float = 0) -> rates.Rate:
        found = rates.measured({"a:*": now}, readings, self.A, least_requests=100, after=after)
        assert found is not None
        return found

    def test_the_newest_reading_that_says_enough_is_taken(self) -> None:
        found = self.rate((300, 50), reading(1, 0, 0), reading(2, 200, 0), reading(3, 290, 45))
        assert (found.hits, found.misses, found.since) == (100, 50, 2)

    def test_what_was_before_a_removal_says_nothing(self) -> None:
        found = self.rate((10, 500), reading(1, 0, 0), reading(2, 10, 490), after=2)
        assert (found.requests, found.since) == (10, 2)
        assert self.rate((10, 500), reading(1, 0, 0), after=2).since is None

    def test_counters_that_fell_began_anew(self) -> None:
        found = self.rate((3, 4), reading(1, 0, 0), reading(2, 1000, 1000))
        assert (found.hits, found.misses, found.since) == (3, 4, 2)

    def test_what_is_not_counted_is_not_known(self) -> None:
        assert rates.measured({"b:*": (1, 1)}, [], self.A, least_requests=1) is None

    @given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6), NUMBERS, NUMBERS, st.integers(0, 9))
    def test_a_rate_is_a_share(self, past: list[tuple[int, int]], hits: int, misses: int, after: int) -> None:
        found = self.rate((hits, misses), *(reading(at, *pair) for at, pair in enumerate(past)), after=after)
        assert 0 <= found.share <= 1
        assert found.hits >= 0 <= found.misses

    def test_a_server_that_started_anew(self) -> None:
        old = Reading(at=1, run_id="old", hits=5, misses=5)
        assert rates.of_server(100, 0, "new", [old], least_requests=1).since is None
        same = Reading(at=2, run_id="new", hits=40, misses=0)
        assert rates.of_server(100, 0, "new", [old, same], least_requests=1).hits == 60

    def test_an_estimate_needs_keys_that_end(self) -> None:
        cache = rates.Rate(hits=900, misses=100, since=5)
        found = rates.estimated(50, 0, 0.5, 30, cache)
        assert found
        assert (found.hits, found.misses) == (450, 30)
        assert rates.estimated(50, 40, 0.5, 30, cache) is None
        assert rates.estimated(0, 0, 0.5, 30, cache) is None


class TestState:
    @given(st.binary(max_size=300))
    @example(b'{"version":1,"readings":[{"at":1e999}]}')
    @example(b'{"version":1,"removed":{"a":-1}}')
    @example(b'{"cursor":-3}')
    @example(b"[" * 100_000)
    def test_whatever_the_file_holds_nothing_is_raised(self, content: bytes) -> None:
        state = decoded(content)
        assert state is None or state.cursor >= 0

    def test_it_round_trips_and_is_bounded(self) -> None:
        state = State(removed={"a:*": 5.0}, cursor=2**63, run_id="x")
        for at in range(50):
            state.add(reading(at, at, at), 3)
        assert [one.at for one in state.readings] == [47, 48, 49]
        assert decoded(msgspec.json.encode(state)) == state


class TestSettings:
    @given(st.dictionaries(st.sampled_from(UpkeepSettings.__struct_fields__), ANYTHING, max_size=3))
    def test_whatever_is_given_is_taken_or_refused(self, given: dict[str, Any]) -> None:
        given.pop("state_directory", None)
        with suppress(ConfigurationError):
            upkeep_settings_from(given)


class Slow:
    """A server of which a test says how long its answers take, with a clock of its own."""

    def __init__(self, *delays_ms: float) -> None:
        self.delays, self.now, self.slept = list(delays_ms), 0.0, 0.0

    def ping(self) -> None:
        delay = self.delays.pop(0) if len(self.delays) > 1 else self.delays[0]
        if delay < 0:
            raise ResponseError("BUSY Valkey is busy running a script.")
        self.now += delay / 1000

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds

    def pace(self, **more: Any) -> Pace:
        told: dict[str, Any] = {"budget_ms": 5, "share": 0.25, "batch": 100, "patience_s": 3, "deadline": 60}
        return Pace(self, clock=lambda: self.now, sleep=self.sleep, **(told | more))  # type: ignore[arg-type]


def takes(slow: Slow, milliseconds: float) -> Callable[[], None]:
    return lambda: slow.sleep(milliseconds / 1000)


class TestPace:
    def test_it_rests_so_that_a_share_of_the_time_is_ours(self) -> None:
        slow = Slow(1)
        pace = slow.pace()
        pace.batch(takes(slow, 10))
        assert slow.slept == pytest.approx(0.04)
        assert (pace.backoffs, pace.size) == (0, 100)

    def test_a_late_answer_makes_it_wait_longer_and_longer_and_do_less(self) -> None:
        slow = Slow(1, 50, 50, 50, 1)
        pace = slow.pace()
        pace.begin()
        slow.delays = [50, 50, 50, 1]
        pace.batch(takes(slow, 1))
        assert pace.backoffs == 3
        assert pace.paused_s == pytest.approx(0.05 + 0.1 + 0.2)
        assert pace.size == 12 + 3
        assert pace.p99_ms == pytest.approx(50)

    def test_it_gives_up_after_its_patience_or_the_window(self) -> None:
        slow = Slow(1)
        pace = slow.pace()
        pace.begin()
        slow.delays = [80]
        with pytest.raises(PutOffError, match=r"answers 79 ms late and did not get quieter for 3 s"):
            pace.batch(takes(slow, 1))
        slow.delays = [1]
        slow.now = 61
        with pytest.raises(PutOffError, match="the window of time is over"):
            pace.batch(takes(slow, 1))

    def test_a_busy_script_is_late_as_well(self) -> None:
        slow = Slow(-1, -1, 1)
        pace = slow.pace()
        pace.batch(takes(slow, 1))
        assert pace.backoffs == 2
        slow.delays = [-1]
        with pytest.raises(PutOffError, match="is kept busy by a script"):
            pace.batch(takes(slow, 1))

    def test_a_batch_of_ours_that_takes_long_is_made_smaller(self) -> None:
        slow = Slow(1)
        pace = slow.pace()
        pace.begin()
        pace.batch(takes(slow, 100))
        assert pace.size == 50


def test_memory_without_a_limit_is_judged_by_the_host() -> None:
    info = {"used_memory": "90", "maxmemory": "0", "total_system_memory": "100"}
    found = memory.alert(info, "here", UpkeepSettings())
    assert (found.status, found.observed) == ("warn", 90.0)
    assert "as maxmemory is not set" in found.summary
    assert memory.alert({}, "here", UpkeepSettings()).status == "unknown"


@given(
    st.dictionaries(st.sampled_from(["used_memory", "maxmemory", "total_system_memory"]), st.text(max_size=9))
)
def test_whatever_the_server_says_of_its_memory(info: dict[str, str]) -> None:
    memory.alert(info, "here", UpkeepSettings())
