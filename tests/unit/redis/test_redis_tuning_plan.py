"""Values as a server gives them back, profiles, and what is planned from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.tuning.normalise import canonical, memory, same, text_of
from courtkeeper.redis.tuning.parameters import ALIASES, MEMORY, SECRETS, one_name, spelling, why_untouchable
from courtkeeper.redis.tuning.plan import as_diff, memory_problem, plan
from courtkeeper.redis.tuning.profile import NAMES, profile, wanted
from courtkeeper.redis.tuning.settings import tuning_settings_from

LIMITS = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
SPECIAL = ["save", "client-output-buffer-limit", "notify-keyspace-events", "hz", "oom-score-adj", "loglevel"]
PARAMETERS = st.sampled_from(
    [*sorted(MEMORY), *SPECIAL, "appendonly", "dir", "latency-tracking-info-percentiles"]
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"\A[0-9]{1,22}[kmgb%]{0,2}\Z"),
    st.from_regex(r"\A[AKEg$lshzxetdmn]{0,14}\Z"),
    st.from_regex(r"\A((normal|slave|replica|pubsub) [0-9]{1,4}(mb)? [0-9]{1,4}k? [0-9]{1,3} ?){1,4}\Z"),
)


@pytest.mark.parametrize(
    ("name", "text", "read_back"),
    [
        ("maxmemory", "1gb", "1073741824"),
        ("maxmemory", "1g", "1000000000"),
        ("maxmemory", "10B", "10"),
        ("maxmemory", "1.5gb", "1.5gb"),  # the server refuses it
        ("maxmemory-clients", "5%", "5%"),
        ("save", " 3600  1\t300 100", "3600 1 300 100"),
        (
            "client-output-buffer-limit",
            "replica 1gb 1mb 60",
            LIMITS.replace("268435456 67108864", "1073741824 1048576"),
        ),
        ("notify-keyspace-events", "KEA", "AKE"),
        ("notify-keyspace-events", "Kg$lshzxetdmn", "AKm"),
        ("notify-keyspace-events", "xE", "xE"),
        ("hz", "5000", "500"),
        ("loglevel", "NOTICE", "notice"),
        ("maxmemory-policy", "ALLKEYS-LRU", "allkeys-lru"),
        ("appendonly", "YES", "yes"),
        ("oom-score-adj", "relative", "yes"),
        ("latency-tracking-info-percentiles", "50 99.50", "50 99.5"),
        ("timeout", "007", "7"),
    ],
)
def test_a_value_is_what_the_server_gives_back(name: str, text: str, read_back: str) -> None:
    assert canonical(name, text, LIMITS) == read_back


@given(PARAMETERS, TEXTS, TEXTS)
def test_normalising_is_done_once(name: str, text: str, now: str) -> None:
    once = canonical(name, text, now)
    assert canonical(name, once, now) == once
    assert same(name, once, text)


@given(st.integers(0, 2**50), st.sampled_from(["", "k", "kb", "m", "mb", "g", "gb"]))
def test_units_are_the_servers(number: int, unit: str) -> None:
    size = memory(f"{number}{unit.upper()}")
    factor = {"": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}[unit]
    assert size == number * factor
    assert canonical("maxmemory", f"{number}{unit}") == str(size)


@pytest.mark.parametrize(
    ("given_", "text"), [(True, "yes"), (False, "no"), (5, "5"), (99.5, "99.5"), ([3600, 1], "3600 1")]
)
def test_what_yaml_gives_is_text(given_: object, text: str) -> None:
    assert text_of("save", given_) == text


@given(
    st.dictionaries(
        st.text(max_size=12), st.one_of(st.none(), st.text(), st.floats(), st.binary(), st.lists(st.none()))
    )
)
def test_whatever_is_wanted_is_taken_or_refused_in_one_sentence(given_: dict[str, object]) -> None:
    try:
        found = wanted(given_)
    except ConfigurationError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert all(name == one_name(name) for name in found)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_is_whole(name: str) -> None:
    found = profile(name)
    assert found["maxmemory-policy"]
    assert "maxmemory" not in found, "how much memory there is, no profile knows"
    for parameter, value in found.items():
        assert canonical(parameter, canonical(parameter, value)) == canonical(parameter, value)
        assert not why_untouchable(parameter)


def test_no_secret_and_no_identity_is_tuned() -> None:
    for name in [*SECRETS, "masterauth", "slaveof", "bind", "port", "tls-cert-file", "aclfile"]:
        with pytest.raises(ConfigurationError, match=one_name(name)):
            wanted({name: "hunter2"})
        try:
            wanted({name: "hunter2"})
        except ConfigurationError as error:
            assert "hunter2" not in str(error)  # noqa: PT017


def test_two_names_of_one_parameter_are_one() -> None:
    assert wanted({"hash-max-ziplist-entries": 5}) == {"hash-max-listpack-entries": "5"}
    with pytest.raises(ConfigurationError, match="told twice"):
        wanted({"hash-max-ziplist-entries": 5, "hash-max-listpack-entries": 6})
    for name, other in ALIASES.items():
        assert one_name(name) == one_name(other)
        assert spelling(name, {other}) == other
        assert spelling(name, {"maxmemory"}) == ""


NOW = st.dictionaries(
    st.sampled_from([*sorted(MEMORY), "save", "hz", "appendonly", "timeout"]), TEXTS, min_size=1
)


@given(NOW, st.data())
def test_what_is_so_already_is_no_change(now: dict[str, str], data: st.DataObject) -> None:
    told = {name: now[name] for name in data.draw(st.sets(st.sampled_from(sorted(now))))}
    assert plan(now, told, {}, "x").changes == ()


@given(NOW, st.dictionaries(st.sampled_from(["maxmemory", "hz", "timeout", "save"]), TEXTS))
def test_after_a_plan_nothing_is_left_to_plan(now: dict[str, str], profiled: dict[str, str]) -> None:
    first = plan(now, {}, profiled, "x")
    then = now | {c.name: c.after for c in first.changes}
    assert plan(then, {}, profiled, "x").changes == ()
    assert {c.name for c in first.changes} <= now.keys()
    assert set(dict(first.unsupported)) == profiled.keys() - now.keys()
    back = then | {c.name: c.before for c in first.changes}
    assert back == now


def test_an_unknown_single_value_is_refused_and_one_of_a_profile_left_out() -> None:
    assert plan({"hz": "10"}, {}, {"io-threads": "2"}, "x").unsupported[0][0] == "io-threads"
    with pytest.raises(ConfigurationError, match="x has no parameter nosuch: mend"):
        plan({"hz": "10"}, {"nosuch": "2", "hz": "20"}, {}, "x")


def test_maxmemory_below_use_is_seen() -> None:
    made = plan({"maxmemory": "0"}, {"maxmemory": "1mb"}, {}, "x")
    assert "below the 2097152 bytes" in memory_problem(made.changes, 2 << 20, "x")
    assert not memory_problem(made.changes, 1 << 20, "x")
    assert not memory_problem(plan({"maxmemory": "5"}, {"maxmemory": "0"}, {}, "x").changes, 1 << 20, "x")
    assert as_diff({"x": made}) == {"before": "# x\nmaxmemory 0\n", "after": "# x\nmaxmemory 1048576\n"}


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"profile": "cash"}, "profile 'cash'"),
        ({"parameters": {"maxmemory": {}}}, "maxmemory"),
        ({"parameters": {"max memory": 1}}, "max memory"),
        ({"parameters": {"maxmemory": "1\r\nSHUTDOWN"}}, "maxmemory"),
        ({"mode": "apply"}, "nothing is wanted"),
        ({"mode": "apply", "profile": "cache", "state_directory": ""}, "state_directory"),
        ({"mode": "guess"}, "mode"),
        ({"gate": {"observe_s": 0}}, "gate.observe_s"),
        ({"gate": {"ops_ratio": 2}}, "gate.ops_ratio"),
        ({"gate": {"nosuch": 2}}, "gate"),
        ({"nosuch": 1}, "nosuch"),
    ],
)
def test_wrong_settings_are_one_sentence_with_their_name(told: dict[str, object], names: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tuning_settings_from(told)
    assert names in str(caught.value)
    assert "\n" not in str(caught.value)
