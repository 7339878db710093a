"""Plans as EXPLAIN writes them, and what is tried to make them cheaper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.postgres.performance.candidates import Candidate, Table, candidates
from courtkeeper.postgres.performance.history import Point, intervals
from courtkeeper.postgres.performance.plan import Scan, cost, lines, scans, writes

TABLE = Table(
    name="public.games",
    leaf_name="public.games",
    schema="public",
    table="games",
    is_partitioned=False,
    columns={"a": "a", "b": "b", "c": "c", "Day": '"Day"'},
    distinctness={"a": 0.001, "b": 0.9, "c": 0.1},
    indexes=(("c",), ("Day", "a")),
    writes=0,
)


def seq_scan(alias: str = "g", **more: Any) -> dict[str, Any]:
    return {"Node Type": "Seq Scan", "Relation Name": "games", "Schema": "public", "Alias": alias, **more}


@pytest.mark.parametrize(
    ("condition", "equal", "ranged"),
    [
        ("(g.a = $1)", ("a",), ()),
        ("((g.a = $1) AND (g.b > $2))", ("a",), ("b",)),
        ("(($1 = g.a) AND ($2 <= g.b))", ("a",), ("b",)),
        ("((g.a)::text = ANY ($1))", ("a",), ()),
        ('(g."Day" >= $1)', (), ("Day",)),
        ("(other.a = $1)", (), ()),
        ("(g.a <> $1)", (), ()),
        ("(g.a ~~ $1)", (), ()),
        ("(lower(g.a) = $1)", ("a",), ()),  # tried in vain: the planner does not take it
    ],
)
def test_compared_columns_are_found(condition: str, equal: tuple[str, ...], ranged: tuple[str, ...]) -> None:
    found = scans(seq_scan(Filter=condition))
    assert found == ([Scan("public", "games", equal, ranged, ())] if equal or ranged else [])


def test_columns_of_joins_and_limited_sorts_count() -> None:
    join = {
        "Node Type": "Hash Join",
        "Hash Cond": "(e.game = g.a)",
        "Plans": [seq_scan(), {"Node Type": "Index Scan", "Relation Name": "events", "Alias": "e"}],
    }
    assert scans(join) == [Scan("public", "games", ("a",), (), ())]
    sort = {"Node Type": "Sort", "Sort Key": ['g."Day" DESC'], "Plans": [seq_scan()]}
    assert scans(sort) == []
    assert scans({"Node Type": "Limit", "Plans": [sort]}) == [Scan("public", "games", (), (), ("Day",))]


def test_what_a_plan_writes_is_seen_below_other_nodes() -> None:
    assert writes({"Node Type": "CTE Scan", "Plans": [{"Node Type": "ModifyTable"}]})
    assert not writes({"Node Type": "CTE Scan", "Plans": [seq_scan()]})


def test_lines_hold_no_literal() -> None:
    shown = "\n".join(lines(seq_scan(Filter="((g.name)::text = 'hunter2'::text)")))
    assert "hunter2" not in shown
    assert "Filter: ((g.name)::text = ?::text)" in shown


def test_columns_with_many_values_come_first_and_what_an_index_covers_is_not_tried() -> None:
    found = candidates(Scan("public", "games", ("a", "b"), ("Day",), ()), TABLE)
    assert [one.columns for one in found] == [("b", "a", "Day"), ("b", "a"), ("b",)]
    assert found[0].shown == 'public.games (b, a, "Day")'
    assert candidates(Scan("public", "games", ("c",), (), ()), TABLE) == []
    assert candidates(Scan("public", "games", ("gone",), (), ()), TABLE) == []
    assert Candidate(TABLE, ("b",)).key == ("public.games", ("b",))


KEYS = st.sampled_from(
    ["Node Type", "Plans", "Filter", "Alias", "Relation Name", "Sort Key", "Total Cost", "Hash Cond"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JSON))
def test_whatever_a_plan_holds_it_is_read_without_an_error(plan: dict[str, Any]) -> None:
    assert isinstance(cost(plan), float)
    assert len(lines(plan)) <= 41
    for scan in scans(plan):
        assert scan.table


@given(st.text(alphabet="g.a=<>() \"':$1", max_size=60))
def test_whatever_a_condition_holds_it_is_read_without_an_error(condition: str) -> None:
    scans(seq_scan(Filter=condition))


def test_a_long_condition_is_read_in_time() -> None:
    scans(seq_scan(Filter="((g.a" + ")" * 50_000 + "(" * 50_000))
    scans(seq_scan(Filter="= " + "(" * 50_000))


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def point(hours: int, calls: int, total_ms: float, reset_h: int = 0) -> Point:
    return Point("1", NOON + timedelta(hours=hours), NOON + timedelta(hours=reset_h), calls, total_ms)


def test_intervals_survive_resets_evictions_and_restarts() -> None:
    points = [point(1, 10, 100), point(2, 14, 300), point(3, 30, 900, reset_h=2), point(4, 1, 5, reset_h=2)]
    assert [(one.calls, one.total_ms) for one in intervals(points)] == [
        (10, 100),
        (4, 200),
        (30, 900),
        (1, 5),
    ]
    assert [one.mean_ms for one in intervals([point(1, 0, 0)])] == [None]


@given(st.lists(st.tuples(st.integers(0, 1 << 60), st.floats(0, 1e15), st.integers(0, 2))))
def test_no_interval_is_ever_negative(counters: list[tuple[int, float, int]]) -> None:
    points = [point(hour, calls, total, reset) for hour, (calls, total, reset) in enumerate(counters)]
    assert all(one.calls >= 0 and one.total_ms >= 0 for one in intervals(points))
