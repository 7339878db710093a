"""Whose turn it is to be read: nobody waits for ever, whatever the file or the clock says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from courtkeeper.database import DatabaseSettings
from courtkeeper.findings import CourtkeeperError
from courtkeeper.postgres.corruption.pieces import PIECE_PAGES, Function, Relation, split
from courtkeeper.postgres.corruption.turns import Turns
from support.examples import examples

NOW = datetime(2026, 2, 12, 6, tzinfo=UTC)
DATABASE = DatabaseSettings(name="nba/../odd")
FUNCTIONS = [Function("verify_heapam", "public", "public.verify_heapam(…)", True, False)]
ALL = {"jobs": 2, "budget_s": 1e9}


def relations(*pages: int) -> list[Relation]:
    return [
        Relation(number, f"public.t{number}", "heap", number, size, 0, False, "", True)
        for number, size in enumerate(pages)
    ]


def names(turns: Turns, *pages: int, jobs: int = 2, budget_s: float = 1e9) -> list[str]:
    ordered = turns.order(split(relations(*pages), FUNCTIONS, unique=True), jobs=jobs, budget_s=budget_s)
    return [piece.key for piece in ordered]


def test_the_largest_come_first_among_equals(tmp_path: Path) -> None:
    assert names(Turns(str(tmp_path), DATABASE, NOW), 5, 50, 500) == ["public.t2", "public.t1", "public.t0"]


def test_a_big_table_has_pieces_and_the_last_has_no_end() -> None:
    pieces = list(split(relations(2 * PIECE_PAGES + 1), FUNCTIONS, unique=True))
    assert [(piece.key, piece.pages, piece.last) for piece in pieces] == [
        ("public.t0", PIECE_PAGES, False),
        ("public.t0#1", PIECE_PAGES, False),
        ("public.t0#2", 1, True),
    ]


def test_an_index_counts_with_its_table_that_is_read_for_it() -> None:
    table = Relation(1, "public.t", "heap", 1, 100, 0, False, "", True)
    index = Relation(2, "public.i", "btree", 2, 10, 1, False, "", True)
    checks = [*FUNCTIONS, Function("bt_index_check", "public", "public.bt_index_check(…)", True, False)]
    ordered = Turns("", DATABASE, NOW).order(split([table, index], checks, unique=True), **ALL)
    assert [(piece.key, piece.pages) for piece in ordered] == [("public.i", 110), ("public.t", 100)]


def test_a_big_unique_index_is_looked_at_for_duplicates_apart() -> None:
    new = Function("bt_index_check", "public", "public.bt_index_check(…)", True, True)
    small, big = (Relation(2, "public.i", "btree", 2, pages, 1, True, "", True) for pages in (10, 5000))
    (together,) = split([small], [new], unique=True)
    assert (together.compare, together.unique) == (True, True)
    first, second = split([big], [new], unique=True)
    assert (first.key, first.compare, first.unique) == ("public.i", True, False)
    assert (second.key, second.compare, second.unique) == ("public.i#unique", False, True)
    (plain,) = split([big], [new], unique=False)
    assert (plain.compare, plain.unique) == (True, False)


def test_what_was_not_reached_comes_first_next_time(tmp_path: Path) -> None:
    turns = Turns(str(tmp_path), DATABASE, NOW)
    first, second, *_ = turns.order(split(relations(5, 50, 500), FUNCTIONS, unique=True), **ALL)
    turns.had(first)
    turns.had(second)
    turns.save()
    later = Turns(str(tmp_path), DATABASE, NOW + timedelta(days=1))
    assert names(later, 5, 50, 500) == ["public.t0", "public.t2", "public.t1"]


def test_every_piece_has_its_turn_within_a_few_nights_when_each_reaches_a_tenth(tmp_path: Path) -> None:
    reached: set[str] = set()
    for night in range(10):
        turns = Turns(str(tmp_path), DATABASE, NOW + timedelta(days=night))
        ordered = turns.order(split(relations(*range(100)), FUNCTIONS, unique=True), **ALL)[:10]
        for piece in ordered:
            turns.had(piece)
        turns.save()
        reached |= {piece.key for piece in ordered}
    assert len(reached) == 100


def test_without_a_memory_the_beginning_moves_with_the_day() -> None:
    reached: set[str] = set()
    for night in range(20):
        turns = Turns("", DATABASE, NOW + timedelta(days=night))
        reached |= set(names(turns, *[1000] * 100, budget_s=1)[:10])
    assert len(reached) == 100


def test_without_a_memory_the_largest_come_first_where_the_time_is_enough_for_all() -> None:
    assert names(Turns("", DATABASE, NOW), 5, 50, 500)[0] == "public.t2"


def test_a_clock_that_went_back_keeps_nobody_waiting(tmp_path: Path) -> None:
    turns = Turns(str(tmp_path), DATABASE, NOW + timedelta(days=3650))
    (big, *_) = turns.order(split(relations(5, 500), FUNCTIONS, unique=True), **ALL)
    turns.had(big)
    turns.save()
    assert names(Turns(str(tmp_path), DATABASE, NOW), 5, 500)[0] == "public.t1"


def test_what_is_gone_is_forgotten(tmp_path: Path) -> None:
    turns = Turns(str(tmp_path), DATABASE, NOW)
    for piece in turns.order(split(relations(5, 50), FUNCTIONS, unique=True), **ALL):
        turns.had(piece)
    turns.save()
    again = Turns(str(tmp_path), DATABASE, NOW)
    names(again, 5)
    again.save()
    (file,) = tmp_path.iterdir()
    assert list(json.loads(file.read_bytes())["turns"]) == ["public.t0"]


@examples(60, HealthCheck.function_scoped_fixture)
@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode))
def test_a_file_that_cannot_be_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    turns = Turns(str(tmp_path), DATABASE, NOW)
    turns.save()
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert names(Turns(str(tmp_path), DATABASE, NOW), 5, 50) == ["public.t1", "public.t0"]


def test_a_memory_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    turns = Turns(str(tmp_path / "gone"), DATABASE, NOW)
    with pytest.raises(CourtkeeperError, match="state_directory"):
        turns.save()
