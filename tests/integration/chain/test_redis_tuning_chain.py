"""The playbook `redis_tuning` on the embedded platform: planned, done once, bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from courtkeeper import platform
from support.checkout import Checkout, checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A platform that is up and empty."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        yield made


def tuning(here: Checkout, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli(
        "run",
        "redis_tuning",
        "-i",
        "inventory/embedded",
        "--json",
        "-e",
        "redis_tuning_observe_s=1",
        *arguments,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_platforms_cache_is_tuned_once(here: Checkout) -> None:
    code, planned = tuning(here, "--check")
    assert (code, planned["changed"]) == (0, True), planned["message"]
    code, record = tuning(here)
    assert (code, record["changed"]) == (0, True), record["message"]
    assert record["actions"][:-1] == planned["actions"][:-1]
    assert (
        "CONFIG REWRITE" in record["actions"][-1]["text"] if isinstance(record["actions"][-1], dict) else True
    )
    code, again = tuning(here)
    assert (code, again["changed"], again["actions"]) == (0, False, []), again["message"]
    assert {entry["finding"]["status"] for entry in again["findings"]} == {"ok"}
    code, checked = tuning(here, "-e", "redis_tuning_mode=check")
    assert (code, checked["changed"]) == (0, False), checked["message"]
    assert platform.read_secrets(here.root).cache_password not in json.dumps([record, again, checked])


REFUSED = [
    ({"parameters": {"requirepass": "hunter2"}}, "requirepass holds a secret"),
    ({"parameters": {"databases": "99"}}, "taken at a start only"),
    ({"parameters": {"maxmemory": "1kb"}}, "below the"),
    ({"parameters": {"no-such-thing": "1"}}, "has no parameter no-such-thing"),
    ({"password": "wrong"}, "refuses the password"),
    ({"ops_ratio": 7}, "gate.ops_ratio"),
]


def test_bad_input_is_refused_in_one_sentence(here: Checkout) -> None:
    cases = [{f"redis_tuning_{name}": value for name, value in case.items()} for case, _ in REFUSED]
    for (case, sentence), said in zip(REFUSED, here.refusals("redis_tuning", cases), strict=True):
        assert sentence in said, case
        assert "hunter2" not in said
