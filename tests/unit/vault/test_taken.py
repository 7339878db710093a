"""What a host notes of its own manifests, and what of pg_restore's complaints is excused."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.vault import taken
from courtkeeper.vault.restore.database import is_only_timeout
from courtkeeper.vault.settings import VaultSettings

TIMEOUT = (
    'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "{}"\n'
    "Command was: SET {} = 0;\npg_restore: warning: errors ignored on restore: {}\n"
)


def settings(directory: Path | str) -> VaultSettings:
    return VaultSettings(name="nba", destinations=(), state_directory=str(directory))


def prefix(number: int) -> str:
    return f"nba/config/20260101T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}Z-00000000/"


def test_what_was_noted_is_known_and_nothing_else(tmp_path: Path) -> None:
    here = settings(tmp_path)
    assert taken.known(here) == {}
    taken.note(here, prefix(1), b"one")
    taken.note(here, prefix(2), b"two")
    notes = taken.known(here)
    assert taken.is_ours(notes, prefix(1), b"one")
    assert not taken.is_ours(notes, prefix(1), b"two")
    assert not taken.is_ours(notes, prefix(3), b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["nba.taken.json"]
    assert (tmp_path / "nba.taken.json").stat().st_mode & 0o077 == 0


def test_the_newest_notes_are_kept(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(taken, "_KEPT", 3)
    for number in (5, 4, 3, 2, 1):
        taken.note(settings(tmp_path), prefix(number), b"x")
    assert sorted(taken.known(settings(tmp_path))) == [prefix(3), prefix(4), prefix(5)]


def test_without_a_place_to_write_nothing_is_noted_and_nothing_fails(tmp_path: Path) -> None:
    for directory in ("", tmp_path / "not" / "there"):
        taken.note(settings(directory), prefix(1), b"x")
        assert taken.known(settings(directory)) == {}


@given(content=st.binary(max_size=300) | st.text(alphabet='{}[]":,0a', max_size=60).map(str.encode))
def test_notes_that_cannot_be_read_are_none(tmp_path_factory, content: bytes) -> None:
    directory = tmp_path_factory.getbasetemp()
    (directory / "nba.taken.json").write_bytes(content)
    found = taken.known(settings(directory))
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in found.items())


def test_only_the_one_complaint_is_excused() -> None:
    assert is_only_timeout(TIMEOUT.format("transaction_timeout", "transaction_timeout", 1))
    assert not is_only_timeout(TIMEOUT.format("transaction_timeout", "transaction_timeout", 2))
    assert not is_only_timeout(TIMEOUT.format("other", "other", 1))
    twice = TIMEOUT.format("transaction_timeout", "transaction_timeout", 1)
    assert not is_only_timeout('pg_restore: error: relation "a" is not there\n' + twice)


@given(said=st.text(max_size=200))
def test_nothing_else_is_excused(said: str) -> None:
    assert not is_only_timeout(said)
