"""Globals, statement by statement: nothing is lost between semicolons, and who is there stays as he is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.vault.restore import roles, sides
from courtkeeper.vault.restore.request import request_from

SCRIPT = """--
-- PostgreSQL database cluster dump
--

\\restrict abc
SET default_transaction_read_only = off;
CREATE ROLE api;
ALTER ROLE api WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:x;y''z';
CREATE ROLE "od;d";
COMMENT ON ROLE "od;d" IS 'a -- b; c
d';
GRANT api TO "od;d" WITH INHERIT TRUE GRANTED BY admin;
\\unrestrict abc
"""


def test_statements_end_where_they_end() -> None:
    found = list(roles.statements(SCRIPT))
    assert found == [
        "SET default_transaction_read_only = off",
        "CREATE ROLE api",
        "ALTER ROLE api WITH LOGIN PASSWORD 'SCRAM-SHA-256$4096:x;y''z'",
        'CREATE ROLE "od;d"',
        "COMMENT ON ROLE \"od;d\" IS 'a -- b; c\nd'",
        'GRANT api TO "od;d" WITH INHERIT TRUE GRANTED BY admin',
    ]
    wanted = [each for each in found if roles._is_wanted(each, {"api"}, set())]
    assert wanted == found[3:]
    assert [each for each in found if roles._is_wanted(each, {"api", "od;d"}, set())] == []


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    for statement in roles.statements(text):
        assert statement.strip() == statement != ""


@given(st.lists(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)))
def test_quoted_text_stays_whole(texts: list[str]) -> None:
    written = ["COMMENT ON ROLE a IS '" + text.replace("'", "''") + "'" for text in texts]
    if any(line.startswith("\\") for text in written for line in text.split("\n")):
        return  # psql's own commands stand at the beginning of a line
    assert list(roles.statements("".join(f"{each};\n" for each in written))) == written


@given(st.text(min_size=1, max_size=63))
def test_names_beside_fit_and_tell_what_they_are(name: str) -> None:
    made = sides.name_for(name, "restored", datetime(2026, 2, 12, tzinfo=UTC))
    assert len(made.encode()) <= 63 or len(name.encode()) > 63
    assert "_restored_20260212t000000_" in made


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"source": "d", "backup": "../x"}, "is no id"),
        ({"source": "d", "until": "yesterday"}, "is no moment"),
        ({"source": "d", "until": "2026-01-01", "backup": "20260212T060000Z-00000000"}, "exclude each other"),
        ({"source": "d", "unknown": 1}, "unknown"),
        ({}, "source"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_key(given: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        request_from(given)
