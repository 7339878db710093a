"""Places in lists, texts in packets, and what cannot be a store."""

from __future__ import annotations

import contextlib
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError
from courtkeeper.store import open_store
from courtkeeper.store.connection import locate
from courtkeeper.store.packing import pack_text, unpack_text
from courtkeeper.store.paging import moment, place, token
from courtkeeper.store.recording import run_began


@given(st.text(max_size=40))
def test_any_word_is_a_place_or_refused(word: str) -> None:
    with contextlib.suppress(ConfigurationError):
        found = place(word, 2)
        assert found is None or all(isinstance(moment(number), datetime) for number in found[:1])


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_a_token_is_the_place_it_was_made_from(first: int, second: int) -> None:
    assert place(token(first, second), 2) == (first, second)


@given(st.text())
def test_a_text_comes_back(text: str) -> None:
    clean = text.encode("utf-8", "replace").decode()
    assert unpack_text(pack_text(text)) == clean


@given(st.text(max_size=60))
def test_any_directory_name_is_a_run_or_none(name: str) -> None:
    run_began(name)


def test_the_store_is_under_var_unless_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURTKEEPER_STORE", raising=False)
    assert locate(tmp_path).database == str(tmp_path / "var/store/courtkeeper.sqlite")
    monkeypatch.setenv("COURTKEEPER_STORE", "postgres://u:pw@h:1/d")
    assert locate(tmp_path).drivername == "postgresql+psycopg"
    for bad in ("mysql://x", "https://x/y", "postgresql://h:port/d"):
        monkeypatch.setenv("COURTKEEPER_STORE", bad)
        with pytest.raises(ConfigurationError) as caught:
            locate(tmp_path)
        assert "\n" not in str(caught.value)


def test_sqlite_writes_ahead_and_keeps_what_it_has_committed(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, store.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
