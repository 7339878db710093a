"""A query is shown by its shape; nothing that may be a value of somebody's gets out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.postgres.querytext import shape

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT  *\n FROM t WHERE a = 'x' AND b = 12.5e-3", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("UPDATE t1 SET \"Odd name\" = $1, c = E'it\\'s hunter2'", 'UPDATE t1 SET "Odd name" = $1, c = ?…'),
        ("SELECT $tag$ hunter2 $tag$, $$x$$, U&'hunter2', B'01'", "SELECT ?, ?, ?, ?"),
        ("ALTER ROLE r PASSWORD 'hunter2", "ALTER ROLE r PASSWORD ?"),  # cut off by the server
        ("SELECT 'it''s hunter2', 1 -- hunter2", "SELECT ?, ?"),
        ("SELECT 1 /* hunter2", "SELECT ?"),
        ("SELECT /* a /* b */ hunter2 */ 1", "SELECT ?"),
        ("SELECT /* /* */ hunter2", "SELECT"),
        ('SELECT "hunter2', "SELECT …"),
        ("SELECT 'a\\', hunter2", "SELECT ?…"),
        ("", ""),
    ],
)
def test_the_shape_of_a_query(query: str, shown: str) -> None:
    assert shape(query) == shown


def test_a_long_query_is_cut() -> None:
    assert shape("SELECT " + "x, " * 10_000 + "y", 40) == "SELECT x, x, x, x, x, x, x, x, x, x, x,…"


@given(
    before=st.text(alphabet="ab =$(,;\n", max_size=20),
    literal=st.text(alphabet="hu'\\\"$ x\n", max_size=30),
    after=st.text(alphabet="ab '$\"\\-/*", max_size=20),
    cut=st.integers(0, 60),
)
def test_no_part_of_a_literal_gets_out(before: str, literal: str, after: str, cut: int) -> None:
    quoted = "'" + (SECRET + literal).replace("'", "''") + "'"
    text = f"{before.replace('$', '')} {quoted}{after}"
    assert SECRET not in shape(text)
    assert SECRET not in shape(text[: len(text) - cut])


@given(st.text(max_size=300))
def test_any_text_has_a_shape_of_one_short_line(text: str) -> None:
    shown = shape(text)
    assert len(shown) <= 120
    assert "\n" not in shown
