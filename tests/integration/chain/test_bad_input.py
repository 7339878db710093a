"""Bad input of every kind, through the command line: one clear sentence, its exit code, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from courtkeeper import platform
from courtkeeper.platform import processes
from support import nba
from support.checkout import Checkout, checkout
from support.platform import wait_until

pytestmark = pytest.mark.slow
NIGHT = ("--date", "2026-02-11")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A platform with a simulated night in it, refreshed once."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        code, record, _ = made.refresh()
        assert code == 0, record["message"]
        assert record["metrics"]["games_loaded"] == 11
        yield made


@pytest.fixture(autouse=True)
def _nothing_is_lost(here: Checkout) -> Iterator[None]:
    """Whatever is wrong with the request, what was stored stays as it was."""
    platform.up(here.root, feed_kind="simulated")
    before = nba.snapshot(here.dsn())
    yield
    platform.up(here.root, feed_kind="simulated")
    assert nba.snapshot(here.dsn()) == before


def _refused(here: Checkout, *arguments: str, code: int = 2) -> str:
    """Run the refresh; its one sentence."""
    done = here.cli("run", "nba_refresh", "-i", "inventory/embedded", *arguments)
    return _sentence(done, code)


def _sentence(done: subprocess.CompletedProcess[str], code: int) -> str:
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, said
    assert "Traceback" not in said
    return said


@pytest.fixture
def inventory(here: Checkout) -> Iterator[Path]:
    """A copy of the embedded inventory to spoil."""
    directory = here.root / "inventory" / "spoiled"
    shutil.copytree(here.root / "inventory" / "embedded", directory)
    yield directory / "group_vars" / "all" / "platform.yml"
    shutil.rmtree(directory)


def test_an_unknown_job(here):
    done = here.cli("run", "nba_refesh", "-i", "inventory/embedded")
    said = _sentence(done, 2)
    assert "nba_refesh" in said
    assert "nba_refresh" in said  # what was meant


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "11.02.2026", ""])
def test_a_malformed_date(here, day):
    assert "2026-" in _refused(here, "--date", day)


def test_a_date_in_the_future(here):
    assert "2999-01-01" in _refused(here, "--date", "2999-01-01")


def test_an_inventory_without_a_database(here, inventory):
    lines = inventory.read_text().splitlines(keepends=True)
    inventory.write_text("".join(line for line in lines if not line.startswith("nba_refresh_database_")))
    said = _sentence(here.cli("run", "nba_refresh", "-i", "inventory/spoiled"), 2)
    assert "nba_refresh_database_host" in said
    assert "platform.yml" in said


def test_a_wrong_password(here, tmp_path):
    wrong = tmp_path / "secrets.json"
    wrong.touch(0o600)
    wrong.write_text('{"database_password": "not-the-one", "cache_password": "not-the-one"}')
    said = _refused(here, "--secrets-file", str(wrong))
    assert "password of courtkeeper" in said
    assert "not-the-one" not in said


def test_a_database_that_is_down(here):
    state = platform.read_state(here.root)
    os.kill(state.postgres.pid, 9)
    _gone(state.postgres.pid)
    said = _refused(here, code=1)
    assert "cannot be reached" in said
    assert f"{state.postgres.port}" in said


def _gone(pid: int) -> None:
    wait_until(lambda: processes.identify(pid) is None)


def test_a_schema_too_old(here):
    with psycopg.connect(here.dsn(), autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
        try:
            said = _refused(here)
        finally:
            connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert "too old (0000, needed 0001)" in said


def test_an_archive_of_the_wrong_shape(here, tmp_path):
    archive, log = tmp_path / "season.tar.xz", tmp_path / "log.json"
    archive.write_bytes(b"PK\x03\x04 this is no tar")
    log.write_text('{"resultSets": [{"headers": [], "rowSet": []}]}')
    done = here.cli(
        *("run", "nba_import", "-i", "inventory/embedded"),
        *("-e", f"nba_refresh_archive={archive}", "-e", f"nba_refresh_archive_log={log}"),
    )
    assert "season.tar.xz is not a readable archive" in _sentence(done, 2)


def test_a_game_log_of_the_wrong_shape(here, tmp_path):
    archive, log = tmp_path / "season.tar.xz", tmp_path / "log.json"
    archive.write_bytes(b"")
    log.write_text("[]")
    done = here.cli(
        *("run", "nba_import", "-i", "inventory/embedded"),
        *("-e", f"nba_refresh_archive={archive}", "-e", f"nba_refresh_archive_log={log}"),
    )
    assert "not a game log" in _sentence(done, 2)


def test_an_html_page_where_json_was_due(here):
    here.feed.set_faults([{"kind": "html_200"}])
    try:
        code, record, _ = here.refresh("-e", "nba_refresh_backoff_s=0.01")
    finally:
        here.feed.set_faults([])
    assert code == 3
    assert not record["changed"]
    said = " ".join(h["finding"]["summary"] for h in record["findings"])
    assert "HTML page" in said
    assert "ok" not in {h["finding"]["status"] for h in record["findings"]}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system to fill")
def test_a_disk_that_is_full(here, tmp_path):
    """The payload directory's file system has no room: nothing is stored, and the sentence says so."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        said = _refused(here, "-e", f"nba_refresh_payload_directory={small}", code=1)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "the disk is full" in said
    assert str(small) in said
