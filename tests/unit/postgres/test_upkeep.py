"""What comes first, what fits, and what cannot be told to the upkeep."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.postgres.settings import database_from
from courtkeeper.postgres.upkeep import repack
from courtkeeper.postgres.upkeep.disk import Room
from courtkeeper.postgres.upkeep.settings import (
    UpkeepSettings,
    upkeep_settings_from,
)
from courtkeeper.postgres.upkeep.task import ANALYZE_BYTES, Task, ordered, seconds_for


def task(rank: int, name: str, kind: str = "vacuum", **more: Any) -> Task:
    found = Finding(id="x", subject=name, status=Status.WARN, summary="x")
    return Task(kind=kind, rank=rank, text=f"mend {name}", statements=("SELECT 1",), found=found, **more)


def names(tasks: list[Task]) -> list[str]:
    return [one.subject for one in tasks]


def test_the_most_urgent_comes_first_then_the_names() -> None:
    assert names(ordered([task(3, "b"), task(0, "z"), task(3, "a")], {})) == ["z", "a", "b"]


def test_what_was_put_off_often_comes_before_what_never_was_but_never_before_rank_0() -> None:
    tasks = [task(0, "freeze"), task(2, "new"), task(7, "old")]
    assert names(ordered(tasks, {("vacuum", "old"): 9})) == ["freeze", "old", "new"]


def test_what_needs_others_stays_behind_them() -> None:
    tasks = [task(3, "refresh", needs=(("vacuum", "index"),)), task(2, "index")]
    assert names(ordered(tasks, {("vacuum", "refresh"): 9})) == ["index", "refresh"]


def test_the_speed_that_was_seen_is_what_counts() -> None:
    assert seconds_for(task(1, "t"), 1000, {"vacuum": 10.0}) == 100
    assert seconds_for(task(1, "t"), 400_000_000, {}) == 10


def test_analyze_reads_a_sample() -> None:
    some = task(1, "t", kind="analyze")
    assert seconds_for(some, 10**15, {}) == seconds_for(some, ANALYZE_BYTES, {})


@pytest.mark.parametrize(("free", "fits"), [(150, True), (149, False), (0, False)])
def test_a_tenth_of_the_disk_stays_free(free: int, fits: bool) -> None:
    assert (Room(name="d", free=free, total=1000).problem(task(1, "t"), 50) is None) is fits


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"window_s": -1}, "window_s is -1"),
        ({"window_s": "long"}, "window_s cannot be"),
        ({"window_s": float("nan")}, "window_s is nan"),
        ({"lock_timeout_s": 3600}, "lock_timeout_s is 3600"),
        ({"duties": ["vaccum"]}, "duties"),
        ({"windows_s": 3}, "unknown field `windows_s`"),
        ({"thresholds": {"indexes.blot": {"warn": 1}}}, "did you mean indexes.bloat"),
        ({"thresholds": {"indexes.bloat": {"warn": "much"}}}, "give a number"),
        ({"terminate": {"query_s": 5}}, "terminate.allow_users is empty"),
        ({"terminate": {"query_s": 5, "allow": ["x"]}}, "terminate"),
        ({"snapshot_keep_days": 0}, "snapshot_keep_days is 0"),
        ({"extensions": "postgis"}, "extensions cannot be"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(given_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        upkeep_settings_from(given_)
    assert sentence in str(caught.value)


def test_a_database_without_a_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"database\.name is empty"):
        database_from({"name": ""})
    with pytest.raises(ConfigurationError, match=r"database\.port cannot be"):
        database_from({"name": "nba", "port": "much"})


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text("aé\0 1.-$", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("aé\0 1.-$", max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*UpkeepSettings.__struct_fields__, "x"]), ANYTHING, max_size=4))
def test_whatever_an_inventory_holds_is_taken_or_refused_in_a_sentence(told: dict[str, Any]) -> None:
    try:
        settings = upkeep_settings_from(told)
    except ConfigurationError:
        return
    assert settings.window_s >= 0


def test_no_secret_is_in_the_command_line_of_pg_repack() -> None:
    where = DatabaseSettings(
        name="nba", host="h", user="u", password="s3cret", options={"sslmode": "require"}
    )
    line = repack.command("pg_repack", where, "public.t", 0.2)
    assert "s3cret" not in " ".join(line)
    assert "--wait-timeout=1" in line
    environment = repack._environment(where)
    assert (environment["PGPASSWORD"], environment["PGSSLMODE"]) == ("s3cret", "require")
