"""The upkeep of the platform's cache from the command line: counted by the API, decided, removed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from courtkeeper import platform
from courtkeeper.platform.state import ApiState, CacheState
from support.checkout import Checkout, checkout
from support.platform import wait_until

pytestmark = pytest.mark.slow
JOB = ("run", "cache_upkeep", "-i", "inventory/embedded")
# The machine that tests is busy: the duty would wait for quieter moments, and put things off.
PATIENT = ("-e", "cache_upkeep_latency_budget_ms=5000")
GAMES = "api:games:*"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        yield made


@pytest.fixture
def client(here: Checkout) -> Iterator[redis.Redis]:
    state, secrets = platform.read_state(here.root), platform.read_secrets(here.root)
    assert isinstance(state.cache, CacheState)
    with redis.Redis(host=state.cache.host, port=state.cache.port, password=secrets.cache_password) as made:
        yield made


def _run(here: Checkout, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli(*JOB, *PATIENT, "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def _ask(here: Checkout, path: str) -> None:
    state = platform.read_state(here.root)
    assert isinstance(state.api, ApiState)
    assert httpx.get(f"{state.api.url}{path}", timeout=30).status_code == 200


def _keys(client: redis.Redis, pattern: str) -> int:
    return sum(1 for _ in client.scan_iter(pattern))


def test_what_is_asked_for_in_vain_goes_once(here: Checkout, client: redis.Redis) -> None:
    client.set("api:generation:2026-02-11", 7)
    client.set("api:game:0022500001:box", "x")  # somebody forgot its time to live
    code, planned = _run(here, "--check")
    assert code == 0, planned["message"]
    assert client.ttl("api:game:0022500001:box") == -1
    assert not (here.root / "var" / "cache_upkeep").exists() or not list(
        (here.root / "var" / "cache_upkeep").glob("*.json")
    )
    code, first = _run(here)
    assert (code, first["changed"]) == (0, True), first["message"]
    assert first["actions"] == planned["actions"]
    assert 0 < client.ttl("api:game:0022500001:box") <= 3600

    for day in range(1, 121):  # each is asked for once: nothing of it was of any use
        _ask(here, f"/games?date=2025-{day // 28 + 1:02}-{day % 28 + 1:02}")
    wait_until(lambda: int(client.hget("api:cache:counters", f"miss:{GAMES}") or 0) == 120)
    assert _keys(client, GAMES) == 120

    code, planned = _run(here, "--check")
    assert planned["actions"] == [f"remove 120 keys of {GAMES} (0.0% of 120 requests were hits)"]
    assert _keys(client, GAMES) == 120
    code, done = _run(here)
    assert (code, done["actions"]) == (0, planned["actions"]), done["message"]
    assert _keys(client, GAMES) == 0
    assert client.get("api:generation:2026-02-11") == b"7"
    assert client.ttl("api:generation:2026-02-11") == client.ttl("api:cache:counters") == -1
    assert (here.root / "var" / "runs" / done["run_id"] / "report.html").is_file()

    code, again = _run(here)
    assert (code, again["changed"], again["actions"]) == (0, False, [])
    secret = platform.read_secrets(here.root).cache_password
    assert secret not in json.dumps([first, done, again])


def _patterns(first: str) -> dict[str, Any]:
    return {"patterns": [{"pattern": first, "removable": True}, {"pattern": "api:game:*:box"}]}


REFUSED = [
    ({"password": "wrong"}, "refuses the password"),
    ({"database": 99}, "no such database"),
    ({"batch": 0}, "batch is 0"),
    ({"patience_s": -1}, "patience_s is -1"),
    ({"state_directory": "/dev/null/x"}, "state_directory"),
    (_patterns("*"), "which begins with *"),
    (_patterns("api:*"), "in common with the protected 'api:generation:*'"),
    (_patterns("api:game:*"), "declared once"),
]


def test_bad_input_is_one_sentence_and_changes_nothing(here: Checkout, client: redis.Redis) -> None:
    before = client.dbsize()
    cases = [{f"cache_upkeep_{name}": value for name, value in case.items()} for case, _ in REFUSED]
    for (case, sentence), said in zip(REFUSED, here.refusals("cache_upkeep", cases), strict=True):
        assert sentence in said, case
    assert client.dbsize() == before


def test_a_cache_that_is_away_is_one_sentence(here: Checkout) -> None:
    started = time.monotonic()
    code, record = _run(here, "-e", "cache_upkeep_port=1")
    assert (code, record["status"]) == (1, "failed")
    assert "cannot be reached" in record["message"]
    assert time.monotonic() - started < 60
