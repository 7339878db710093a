"""Whose damage it is, told from what servers say: nothing that they say is an error of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import Status
from courtkeeper.postgres.corruption.damage import attribute, judge
from courtkeeper.postgres.corruption.pieces import Function, Piece, Relation, forbidden, split
from courtkeeper.postgres.corruption.workers import Ending, Outcome

TABLE = Relation(16384, "public.games", "heap", 20001, 10, 0, False, "", True)
INDEX = Relation(16390, "public.games_pkey", "btree", 20002, 5, 16384, False, "", True)
HEAP = Function("verify_heapam", "public", "verify_heapam(regclass)", True, False)
BTREE = Function("bt_index_check", "public", "bt_index_check(regclass)", True, False)


def outcome(relation: Relation, message: str, block: int | None = None) -> Outcome:
    return Outcome(Piece(relation, BTREE, 0, True, 1), Ending.DAMAGED, ((block, message),))


@pytest.mark.parametrize(
    ("message", "block"),
    [
        ("invalid page in block 3 of relation base/16386/20001", 3),
        ('invalid page in block 3 of relation "base/16386/20001"', 3),  # 18
        ('could not read block 3 in file "base/16386/20001.1": read only 0 of 8192 bytes', 3),
        ('could not read blocks 3..3 in file "base/16386/20001": Input/output error', 3),
        (
            'could not open file "pg_tblspc/17000/PG_17_202406281/16386/20001": No such file or directory',
            None,
        ),
        ('could not open file "base/16386/20001_vm": No such file or directory', None),
    ],
)
def test_an_unreadable_page_is_its_owners_damage_and_hides_the_index(message: str, block: int | None) -> None:
    damages, kept = attribute([outcome(INDEX, message)], [TABLE, INDEX])
    assert [(damage.relation, damage.problems[0][0]) for damage in damages] == [(TABLE, block)]
    assert kept == {INDEX.oid}


def test_the_same_page_met_twice_is_one_problem() -> None:
    message = "invalid page in block 3 of relation base/16386/20001"
    damages, _ = attribute([outcome(INDEX, message), outcome(TABLE, message)], [TABLE, INDEX])
    assert [len(damage.problems) for damage in damages] == [1]


@given(st.text(), st.none() | st.integers(0, 2**32 - 1))
def test_any_message_gives_a_finding_of_one_bounded_line(message: str, block: int | None) -> None:
    outcomes = [outcome(INDEX, message, block)]
    (first, *_) = judge(outcomes, [TABLE, INDEX], [HEAP, BTREE], version=17, budget_s=1, role="me")
    assert first.status is Status.CRIT
    assert len(first.summary.splitlines()) <= 1
    assert len(first.summary) < 500


def test_an_old_amcheck_reads_indexes_and_says_what_would_read_tables() -> None:
    outcomes = [Outcome(piece, Ending.READ) for piece in split([TABLE, INDEX], [BTREE], unique=True)]
    (old,) = judge(outcomes, [TABLE, INDEX], [BTREE], version=13, budget_s=1, role="me")
    (behind,) = judge(outcomes, [TABLE, INDEX], [BTREE], version=17, budget_s=1, role="me")
    assert (old.status, behind.status) == (Status.SKIPPED, Status.SKIPPED)
    assert old.fix == "upgrade the server to 14 or later"
    assert behind.fix == "ALTER EXTENSION amcheck UPDATE;"


def test_the_newest_form_of_a_function_is_called() -> None:
    old = Function("bt_index_check", "public", "bt_index_check(regclass)", True, False)
    new = Function("bt_index_check", "public", "bt_index_check(regclass, boolean, boolean)", True, True)
    (piece,) = split([INDEX], [new, old], unique=True)  # the statement gives the longest first
    assert piece.function is new
    refused = [Function(f.name, f.schema, f.signature, False, f.checks_unique) for f in (new, old)]
    assert forbidden(refused) == [refused[0]]


def test_what_amcheck_cannot_read_is_counted_beside_what_is_sound() -> None:
    place = Relation(16400, "public.places", "gist", 20003, 5, 16384, False, "", True)
    outcomes = [Outcome(piece, Ending.READ) for piece in split([TABLE, place], [HEAP, BTREE], unique=True)]
    (sound,) = judge(outcomes, [TABLE, place], [HEAP, BTREE], version=17, budget_s=1, role="me")
    assert sound.status is Status.OK
    assert "1 of kinds that amcheck cannot read (gist)" in sound.summary
