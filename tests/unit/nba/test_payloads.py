"""The payload store: nothing is lost by a crash, nothing damaged is handed out."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from courtkeeper.findings import CourtkeeperError
from courtkeeper.nba.payloads import PayloadStore

NOW = datetime(2026, 2, 12, tzinfo=UTC)


def test_the_newest_answer_is_found_again(tmp_path):
    store = PayloadStore(tmp_path)
    store.put("cdn:/a", b"one", now=NOW)
    digest = store.put("cdn:/a", b"two", now=NOW)
    again = PayloadStore(tmp_path)
    assert again.versions("cdn:/a")[0] == digest
    assert len(again.versions("cdn:/a")) == 2
    assert again.get(digest) == b"two"
    assert again.versions("cdn:/b") == []


def test_equal_content_is_kept_once(tmp_path):
    store = PayloadStore(tmp_path)
    assert store.put("cdn:/a", b"same", now=NOW) == store.put("cdn:/b", b"same", now=NOW)
    assert len(list(tmp_path.glob("??/*.zst"))) == 1


def test_an_index_line_that_a_crash_cut_short_is_passed_over(tmp_path):
    store = PayloadStore(tmp_path)
    digest = store.put("cdn:/a", b"one", now=NOW)
    with (tmp_path / "index.jsonl").open("ab") as index:
        index.write(b'{"fetched_at": "2026-02-')
    assert PayloadStore(tmp_path).versions("cdn:/a") == [digest]
    after = PayloadStore(tmp_path).put("cdn:/b", b"two", now=NOW)
    assert PayloadStore(tmp_path).versions("cdn:/b") == [after]  # the cut line swallows no neighbour


def test_an_empty_object_is_kept_but_never_returned_to(tmp_path):
    store = PayloadStore(tmp_path)
    digest = store.put("cdn:/a", b'{"game": 1}', now=NOW)
    empty = store.put("cdn:/a", b"{}", now=NOW)
    assert store.get(empty) == b"{}"
    assert PayloadStore(tmp_path).versions("cdn:/a") == [digest]


def test_a_damaged_payload_is_written_anew_when_it_comes_again(tmp_path):
    store = PayloadStore(tmp_path)
    digest = store.put("cdn:/a", b"one" * 100, now=NOW)
    (path,) = tmp_path.glob(f"??/{digest}.zst")
    path.write_bytes(b"")
    store.put("cdn:/a", b"one" * 100, now=NOW)
    assert store.get(digest) == b"one" * 100


def test_a_damaged_payload_is_refused_by_name(tmp_path):
    store = PayloadStore(tmp_path)
    digest = store.put("cdn:/a", b"one" * 100, now=NOW)
    other = store.put("cdn:/b", b"two" * 100, now=NOW)
    (path,) = tmp_path.glob(f"??/{digest}.zst")
    (wrong,) = tmp_path.glob(f"??/{other}.zst")
    path.write_bytes(wrong.read_bytes())
    with pytest.raises(CourtkeeperError, match="damaged"):
        store.get(digest)
    path.write_bytes(b"\x00")
    with pytest.raises(CourtkeeperError, match="cannot be read"):
        store.get(digest)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_no_permission_is_one_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(CourtkeeperError, match="cannot write a payload under"):
        PayloadStore(tmp_path).put("cdn:/a", b"one", now=NOW)
