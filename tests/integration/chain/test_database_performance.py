"""The playbook `database_performance` on the embedded platform: advice, a change by name, bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from courtkeeper import platform
from support.checkout import Checkout, checkout

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A platform that is up and empty."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        yield made


def performance(here: Checkout, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli("run", "database_performance", "-i", "inventory/embedded", "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def test_a_setting_is_advised_applied_by_name_and_not_touched_again(here: Checkout) -> None:
    code, record = performance(here)
    assert (code, record["changed"]) == (0, False), record["message"]
    advice = {entry["finding"]["subject"]: entry["finding"] for entry in record["findings"]}
    assert advice["shared_buffers"]["threshold"] == "256MB"
    assert record["details"]["performance"]["statements"]
    name = "postgres_performance_apply_settings=effective_cache_size"
    code, planned = performance(here, "--check", "-e", name)
    code, record = performance(here, "-e", name)
    assert (code, record["changed"]) == (0, True), record["message"]
    assert record["actions"] == planned["actions"]
    with psycopg.connect(here.dsn()) as connection:
        assert connection.execute("SHOW effective_cache_size").fetchone() == ("768MB",)
    code, record = performance(here, "-e", name)
    assert (code, record["changed"]) == (0, False)


REFUSED = [
    ({"apply_settings": ["wrk_mem"]}, "did you mean work_mem?"),
    ({"top": 0}, "top is 0"),
    ({"storage": "tape"}, "tape"),
    ({"name": "gone"}, "there is no database gone"),
    ({"user": "nobody_we_know"}, "nobody_we_know"),
]


def test_bad_input_is_refused_in_one_sentence(here: Checkout) -> None:
    cases = [{f"postgres_performance_{name}": value for name, value in case.items()} for case, _ in REFUSED]
    for (case, sentence), said in zip(REFUSED, here.refusals("database_performance", cases), strict=True):
        assert sentence in said, case


def test_a_role_without_rights_is_told_what_would_help(here: Checkout) -> None:
    state, secrets = platform.read_state(here.root), platform.read_secrets(here.root)
    code, record = performance(
        here,
        *("-e", "postgres_performance_parts=statements"),
        *("-e", f"postgres_performance_user={state.postgres.user}"),  # type: ignore[union-attr]
        *("-e", f"postgres_performance_password={secrets.database_password}"),
    )
    (entry,) = record["findings"]
    assert (code, entry["finding"]["status"]) == (0, "skipped")
    assert entry["finding"]["fix"] == "GRANT pg_monitor TO courtkeeper;"
    assert secrets.database_password not in json.dumps(record)
