"""A database whose disk is really full: one sentence, and nothing of what stood there is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from courtkeeper.findings import CourtkeeperError
from support import nba
from support.feed import feed_server
from support.postgres import postgres_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system to fill"),
]
KIB = 1024


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own, which the database's own user can enter."""
    directory = Path(mkdtemp(prefix="courtkeeper-small-"))
    directory.chmod(0o755)
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300m,mode=0755", "tmpfs", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mount.returncode:
        directory.rmdir()
        pytest.skip(f"no file system can be mounted here: {mount.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)
    directory.rmdir()


@pytest.mark.parametrize(
    "left_free",
    [
        pytest.param(0, id="for no connection"),
        pytest.param(256 * KIB, id="for no statement"),
        pytest.param(1024 * KIB, id="for some games"),
    ],
)
def test_the_games_stand_and_the_next_run_goes_on(small_disk, tmp_path, left_free):
    with (
        feed_server(tmp_path, **{**nba.SIMULATED, "games_per_night": 11}) as feed,
        postgres_server(small_disk) as server,
    ):
        settings = nba.settings(server.dsn, feed.url, tmp_path)
        filler = small_disk / "filler"
        free = shutil.disk_usage(small_disk).free
        with filler.open("wb") as stream:
            stream.truncate(0)
            os.posix_fallocate(stream.fileno(), 0, free - left_free)
        with pytest.raises(CourtkeeperError, match="is full: free space there and run again"):
            nba.run(settings)
        if left_free == 0:
            filler.unlink()  # nobody comes in, to look
        stored = nba.rows(server.dsn, "SELECT game_id FROM games WHERE loaded_at IS NOT NULL")
        events = nba.rows(server.dsn, "SELECT DISTINCT game_id FROM play_events")
        assert sorted(stored) == sorted(events)  # whole games only
        assert len(stored) < 11

        filler.unlink(missing_ok=True)
        result = nba.run(settings)
        assert nba.bad(result) == []
        assert result.metrics["games_loaded"] == 11 - len(stored)
