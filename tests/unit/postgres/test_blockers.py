"""Blocker trees, the names of synchronous replicas and declared settings, from whatever a server says."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.checks.activity.blocked import Session, trees
from courtkeeper.postgres.checks.replication.synchronous import standby_names
from courtkeeper.postgres.declared import alter, declared


def sessions(waits: dict[int, list[int]]) -> dict[int, Session]:
    return {
        pid: Session(
            pid=pid, database="d", role="r", application="", state="active", query="", blockers=blockers,
            seconds=pid, release="",
        )
        for pid, blockers in waits.items()
    }  # fmt: skip


def test_a_chain_and_a_second_tree() -> None:
    first, second = trees(sessions({1: [], 2: [1], 3: [2], 4: [1], 8: [], 9: [8]}))
    assert (first.root, first.chain, sorted(first.waiting)) == (1, [1, 2, 3], [2, 3, 4])
    assert (second.root, second.waiting, second.seconds) == (8, [9], 9)


def test_a_ring_has_its_lowest_pid_for_a_root() -> None:
    (ring,) = trees(sessions({5: [6], 6: [5], 7: [5]}))
    assert (ring.root, sorted(ring.waiting)) == (5, [6, 7])


def test_a_blocker_that_is_gone_already_is_still_a_root() -> None:
    (tree,) = trees(sessions({2: [1]}))
    assert (tree.root, tree.waiting) == (1, [2])


@given(st.dictionaries(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4), max_size=9))
def test_every_waiting_session_is_in_a_tree_and_no_walk_is_endless(waits: dict[int, list[int]]) -> None:
    found = trees(sessions(waits))
    inside = {pid for tree in found for pid in (tree.root, *tree.waiting)}
    assert {pid for pid, blockers in waits.items() if blockers} <= inside


def test_the_names_of_synchronous_replicas() -> None:
    assert standby_names("a, b") == (1, ["a", "b"])
    assert standby_names('ANY 2 (a, "B, c", *)') == (2, ["a", "B, c", "*"])
    assert standby_names("first 1 (x)") == (1, ["x"])
    assert standby_names('3 ("say ""a""")') == (3, ['say "a"'])


@given(st.text(max_size=100))
def test_any_setting_gives_names_or_none(text: str) -> None:
    number, names = standby_names(text)
    assert number >= 0
    assert all(names)


@given(st.dictionaries(st.text(max_size=12), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_a_declaration_is_read_or_refused(settings: dict[str, Any]) -> None:
    try:
        words = declared(settings)
    except ConfigurationError:
        return
    for name, value in words.items():
        assert alter(name, value).startswith(f"ALTER SYSTEM SET {name} = ")


def test_a_value_cannot_leave_its_quotes() -> None:
    assert (
        alter("work_mem", "1'; DROP") == "ALTER SYSTEM SET work_mem = '1''; DROP'; SELECT pg_reload_conf();"
    )
    assert alter("log_directory", "a\\'b") == (
        "ALTER SYSTEM SET log_directory = E'a\\\\''b'; SELECT pg_reload_conf();"
    )
    assert alter("primary_conninfo", "password=x") == ""
