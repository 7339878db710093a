"""Advice on settings, by machine and workload."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.performance.advice import (
    MB,
    RULES,
    Facts,
    Machine,
    Setting,
    Workload,
    advise,
    pool_size,
)
from courtkeeper.postgres.performance.settings import performance_settings_from
from courtkeeper.postgres.performance.tuning import refuse_unknown

GB = 1024 * MB
# As Postgres 17 has them from initdb: setting and unit.
DEFAULTS = {
    "shared_buffers": ("16384", "8kB"),
    "effective_cache_size": ("524288", "8kB"),
    "maintenance_work_mem": ("65536", "kB"),
    "work_mem": ("4096", "kB"),
    "max_connections": ("100", ""),
    "max_wal_size": ("1024", "MB"),
    "checkpoint_completion_target": ("0.9", ""),
    "random_page_cost": ("4", ""),
    "effective_io_concurrency": ("1", ""),
    "max_worker_processes": ("8", ""),
    "max_parallel_workers": ("8", ""),
    "autovacuum": ("on", ""),
    "track_counts": ("on", ""),
    "autovacuum_vacuum_cost_delay": ("2", "ms"),
}


def facts(machine: Machine | None = None, workload: Workload | None = None, **other: str) -> Facts:
    settings = {
        name: Setting(name, other.get(name, value), unit, "sighup", "default", pending_restart=False)
        for name, (value, unit) in DEFAULTS.items()
    }
    return Facts(machine or Machine(), workload or Workload(), settings)


def advised(known: Facts) -> dict[str, str]:
    return {one.name: one.value for one in advise(known)}


def test_an_unknown_machine_at_rest_gets_no_advice() -> None:
    assert advised(facts()) == {}


def test_the_defaults_are_small_for_a_machine_with_16_gb() -> None:
    known = facts(Machine(memory=16 * GB, cpus=16, storage="ssd"), Workload(temp_files=9, temp_bytes=GB))
    assert advised(known) == {
        "shared_buffers": "4096MB",
        "effective_cache_size": "12288MB",
        "maintenance_work_mem": "1024MB",
        "work_mem": "40MB",
        "random_page_cost": "1.1",
        "effective_io_concurrency": "200",
        "max_worker_processes": "16",
        "max_parallel_workers": "16",
    }


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("autovacuum", "off", "on"),
        ("track_counts", "off", "on"),
        ("checkpoint_completion_target", "0.5", "0.9"),
        ("autovacuum_vacuum_cost_delay", "20", "2ms"),
    ],
)
def test_what_no_machine_should_have_is_named(name: str, bad: str, good: str) -> None:
    assert advised(facts(**{name: bad})) == {name: good}


def test_more_wal_is_advised_where_most_checkpoints_are_forced() -> None:
    assert advised(facts(workload=Workload(checkpoints_timed=10, checkpoints_requested=11))) == {
        "max_wal_size": "4GB"
    }
    assert advised(facts(workload=Workload(checkpoints_timed=11, checkpoints_requested=11))) == {}
    assert advised(facts(workload=Workload(checkpoints_timed=1, checkpoints_requested=9))) == {}


def test_work_mem_that_all_connections_cannot_have_is_lowered() -> None:
    known = facts(
        Machine(memory=8 * GB),
        work_mem=str(1024 * 1024),
        shared_buffers="262144",
        effective_cache_size="786432",
        maintenance_work_mem="524288",
    )
    assert advised(known) == {"work_mem": "20MB"}


def test_each_piece_of_advice_says_why_and_by_whom() -> None:
    for one in advise(facts(Machine(memory=64 * GB, cpus=64, storage="ssd"))):
        assert one.reason
        assert one.source


@given(
    st.integers(0, 1 << 50),
    st.integers(0, 4096),
    st.dictionaries(st.sampled_from(sorted(DEFAULTS)), st.integers(0, 1 << 40).map(str)),
)
def test_a_server_that_follows_the_advice_gets_no_more(memory: int, cpus: int, other: dict[str, str]) -> None:
    known = facts(Machine(memory, cpus, "ssd"), Workload(temp_files=1, checkpoints_requested=99), **other)
    settings = dict(known.settings)
    for one in advise(known):
        number, unit = one.value, settings[one.name].unit
        if number.endswith(("MB", "GB")):
            in_bytes = float(number[:-2]) * (GB if number.endswith("GB") else MB)
            number = str(math.floor(in_bytes / {"8kB": 8192, "kB": 1024, "MB": MB}[unit]))
        settings[one.name] = msgspec.structs.replace(settings[one.name], setting=number.removesuffix("ms"))
    assert advised(msgspec.structs.replace(known, settings=settings)) == {}


def test_a_pool_holds_twice_the_cpus_and_one() -> None:
    assert pool_size(4) == 9


def test_a_setting_without_advice_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean work_mem"):
        refuse_unknown(["wrk_mem"])
    refuse_unknown(list(RULES))


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"top": 0}, "top is 0"),
        ({"top": "many"}, "top cannot be"),
        ({"min_gain_pct": float("nan")}, "min_gain_pct is nan"),
        ({"storage": "tape"}, "storage cannot be"),
        ({"parts": ["indices"]}, "parts"),
        ({"drop_indexes": ["public.a"]}, "state_directory is empty"),
        ({"apply_settings": ["work_mem"]}, "state_directory is empty"),
        (
            {"apply_settings": ["work_mem"], "parts": ["statements"], "state_directory": "/tmp"},  # noqa: S108
            "leaves settings out",
        ),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(given_: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        performance_settings_from(given_)
