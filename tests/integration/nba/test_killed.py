"""Killed at any of its steps and run again, the refresh ends where a single clean run ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from courtkeeper.nba.cache import CacheSettings
from support import nba
from support.feed import Feed, feed_server
from support.forks import Ended, forked
from support.postgres import Server, drop_database, fresh_database
from support.valkey import Server as Cache
from support.valkey import valkey_server

pytestmark = pytest.mark.slow
KILLS = 20
# The simulated night's games; each is corrected in another way.
CORRECTIONS = [
    {"kind": "late_correction", "match": {"game_id": game_id}, "change": change}
    for game_id, change in zip(
        nba.SIMULATED_GAMES, ("three_to_two", "assist_withdrawn", "event_deleted"), strict=True
    )
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cache]:
    with valkey_server(tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    with feed_server(tmp_path, **nba.SIMULATED) as server:
        yield server


@pytest.fixture
def new_database(postgres: Server) -> Iterator:
    made: list[str] = []

    def make() -> str:
        made.append(fresh_database(postgres))
        return made[-1]

    yield make
    for dsn in made:
        drop_database(postgres, dsn)


def _killed(dsn: str, feed: Feed, directory: Path, cache: Cache, step: int) -> Ended:
    """Refresh in a process that kills itself at a step; with -1 it ends, and tells how many there were."""

    def work() -> int:
        steps = 0

        def trace(_step: str) -> None:
            nonlocal steps
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

        _refresh(dsn, feed, directory, cache, trace=trace)
        return steps

    return forked(work)


def _points(steps: int) -> list[int]:
    """At least twenty steps, spread over the whole run, the first and the last among them."""
    assert steps >= KILLS, f"only {steps} steps to be killed at"
    return sorted({round(i * (steps - 1) / (KILLS - 1)) for i in range(KILLS)})


def _refresh(dsn: str, feed: Feed, directory: Path, cache: Cache, **more: Any) -> None:
    address = CacheSettings(host=cache.host, port=cache.port, password=cache.password)
    nba.run(nba.settings(dsn, feed.url, directory, cache=address), **more)


def test_killed_while_loading(new_database, feed, cache, tmp_path):
    clean = new_database()
    counted = _killed(clean, feed, tmp_path / "clean", cache, -1)
    assert counted.returncode == 0
    expected = nba.snapshot(clean)
    assert expected["cache_outbox"] == []
    assert len(expected["games"]) == 3

    points = _points(int(counted.told))
    for step in points:
        dsn = new_database()
        directory = tmp_path / f"killed-{step}"
        assert _killed(dsn, feed, directory, cache, step).returncode == -9
        _refresh(dsn, feed, directory, cache)
        assert nba.snapshot(dsn) == expected, f"killed at step {step}"
    assert len(points) == KILLS


def test_killed_while_correcting_leaves_no_stale_page_in_the_cache(new_database, feed, cache, tmp_path):
    """The API's pages of the old version stand in the cache; after kill and run none is left."""
    feed.set_faults(CORRECTIONS)
    clean = new_database()
    _refresh(clean, feed, tmp_path / "clean", cache)
    feed.correct()
    counted = _killed(clean, feed, tmp_path / "clean", cache, -1)
    assert counted.returncode == 0
    expected = nba.snapshot(clean)

    changed = [g["game_id"] for g in expected["games"]]
    pages = [f"api:game:{i}:{page}" for i in changed for page in ("game", "events", "box")]
    client = redis.Redis(host=cache.host, port=cache.port, password=cache.password)
    for step in _points(int(counted.told))[::2]:
        feed.set_faults(CORRECTIONS)
        dsn = new_database()
        directory = tmp_path / f"killed-{step}"
        _refresh(dsn, feed, directory, cache)
        feed.correct()
        client.mset(dict.fromkeys(pages, b"old"))
        assert _killed(dsn, feed, directory, cache, step).returncode == -9
        _refresh(dsn, feed, directory, cache)
        assert nba.snapshot(dsn) == expected, f"killed at step {step}"
        corrected = {g["game_id"] for g in expected["games"]}
        stale = [p.decode() for p in client.keys("api:game:*") if p.decode().split(":")[2] in corrected]
        assert stale == []
