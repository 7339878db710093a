"""No literal of a statement is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.postgres.querytext import shape

SECRET = "hunter2"
ROUND = [
    "'{}'",
    "E'{}\\''",
    "'it''s {}'",
    "$${}$$",
    "$tag$ {} $$ {} $tag$",
    "U&'{}'",
    "/* {} /* {} */ {} */",
    "-- {}\n",
]


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT  a1\n FROM t_2 WHERE b = $1", "SELECT a1 FROM t_2 WHERE b = $1"),
        ("ALTER ROLE joe PASSWORD 'hunter2'", "ALTER ROLE joe PASSWORD ?"),
        ("SELECT 'a\\' , 'hunter2'", "SELECT ?…"),
        ("SELECT E'a\\'hunter2', x.y", "SELECT ?…"),
        ("SELECT 1.5e-3, .5, x.y", "SELECT ?, ?, x.y"),
        ('SELECT "it\'s 1" -- hunter2', 'SELECT "it\'s 1"'),
        ("SELECT $q$ hunter2 $q$, $12, a$1", "SELECT ?, $12, a$1"),
        ("SELECT /* a /* hunter2 */ b */ 1", "SELECT ?"),
        ("SELECT 'hunter2", "SELECT ?"),
        ("SELECT $a$ hunter2 $b$", "SELECT ?"),
        ("SELECT /* hunter2", "SELECT"),
    ],
)
def test_literals_and_comments_are_left_out(statement: str, shown: str) -> None:
    assert shape(statement) == shown


@given(
    st.lists(st.one_of(st.sampled_from(ROUND), st.sampled_from([" ", "x", "1", '"a b"', "($1)", ",", "é"])))
)
def test_no_way_of_writing_a_literal_lets_it_through(parts: list[str]) -> None:
    statement = "SELECT " + " ".join(part.replace("{}", SECRET) for part in parts)
    assert SECRET not in shape(statement)


@given(st.text())
def test_any_text_is_shown_on_one_line_and_not_longer_than_told(text: str) -> None:
    shown = shape(text, 20)
    assert len(shown) <= 20
    assert "\n" not in shown


def test_a_huge_statement_is_cut() -> None:
    assert len(shape("SELECT " + "a, " * 100_000, 50)) <= 50
    assert len(shape("(" * 100_000, 50)) == 50
