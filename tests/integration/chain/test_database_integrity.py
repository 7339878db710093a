"""The playbook `database_integrity` on the embedded platform: findings, bad input, a server that dies."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from courtkeeper import platform
from courtkeeper.platform import processes
from courtkeeper.platform.state import PostgresState
from support.checkout import Checkout, checkout
from support.platform import wait_until

pytestmark = pytest.mark.slow
READING = "courtkeeper postgres_integrity corruption"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A platform that is up and empty."""
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        yield made


def integrity(here: Checkout, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli("run", "database_integrity", "-i", "inventory/embedded", "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def test_a_fault_is_found_and_its_remedy_mends_it(here: Checkout) -> None:
    code, record = integrity(here)
    assert (code, record["changed"]) == (0, False), record["message"]
    with psycopg.connect(here.dsn(), autocommit=True) as connection:
        connection.execute("CREATE INDEX games_again ON games (game_date, home_team_id)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'games_again'::regclass"
        )
        code, record = integrity(here, "--check")
        assert (code, record["changed"]) == (3, False)
        found = [entry["finding"] for entry in record["findings"]]
        (finding,) = [one for one in found if one["status"] == "crit"]
        assert finding["subject"] == "public.games_again"
        connection.execute(finding["fix"])
    code, record = integrity(here)
    assert code == 0
    assert list((here.root / "var" / "integrity").glob("corruption-nba-*.json"))


REFUSED = [
    ({"checks": ["indexes.invald"]}, "did you mean indexes.invalid?"),
    ({"groups": ["index"]}, "index"),
    (
        {"thresholds": {"capacity.sequence": {"warn": "many"}}},
        "capacity.sequence.warn is 'many': give a number",
    ),
    ({"thresholds": {"capacity.sequence": 5}}, "the thresholds of capacity.sequence"),
    ({"jobs": -1}, "jobs is -1"),
    ({"name": "gone"}, "there is no database gone"),
    ({"user": "nobody_we_know"}, "nobody_we_know"),
    ({"rules": [{"name": "a game has two teams", "sql": ""}]}, "rules[0] has no name or no sql"),
]


def test_bad_input_is_refused_in_one_sentence(here: Checkout) -> None:
    cases = [{f"database_integrity_{name}": value for name, value in case.items()} for case, _ in REFUSED]
    for (case, sentence), said in zip(REFUSED, here.refusals("database_integrity", cases), strict=True):
        assert sentence in said, case


def test_a_role_without_rights_is_told_what_would_help(here: Checkout) -> None:
    state, secrets = platform.read_state(here.root), platform.read_secrets(here.root)
    assert isinstance(state.postgres, PostgresState)
    code, record = integrity(
        here,
        *("-e", "database_integrity_groups=corruption"),
        *("-e", f"database_integrity_user={state.postgres.user}"),
        *("-e", f"database_integrity_password={secrets.database_password}"),
    )
    (entry,) = record["findings"]
    assert (code, entry["finding"]["status"]) == (0, "skipped")
    assert "GRANT EXECUTE ON FUNCTION" in entry["finding"]["fix"]
    assert secrets.database_password not in json.dumps(record)


def test_a_server_that_dies_in_the_middle_keeps_what_was_found(here: Checkout) -> None:
    ended: list[tuple[int, dict[str, Any]]] = []
    state = platform.read_state(here.root)
    assert isinstance(state.postgres, PostgresState)
    locker = psycopg.connect(here.dsn())
    watcher = psycopg.connect(here.dsn(), autocommit=True)
    locker.execute("LOCK TABLE games IN ACCESS EXCLUSIVE MODE")
    running = threading.Thread(target=lambda: ended.append(integrity(here)))
    running.start()
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    wait_until(lambda: watcher.execute(waiting, [READING]).fetchone()[0])
    postmaster = processes.identify(state.postgres.pid)
    assert postmaster
    assert processes.stop(postmaster, [(9, 5.0)])
    running.join(120)
    for connection in (locker, watcher):
        connection.close()
    platform.up(here.root, feed_kind="simulated")
    ((code, record),) = ended
    assert (code, record["status"]) == (1, "failed")
    assert "was lost while looking for" in record["message"]
    assert [entry["finding"]["status"] for entry in record["findings"]].count("ok") >= 2


def test_the_summary_for_a_person_shows_the_few_that_matter(here: Checkout) -> None:
    done: subprocess.CompletedProcess[str] = here.cli(
        "run",
        "database_integrity",
        "-i",
        "inventory/embedded",
        "-e",
        "database_integrity_corruption_budget_s=0",
    )
    assert done.returncode == 0
    # What the platform did before (many databases made at once) may be told as well.
    assert done.stdout.startswith(
        (
            "SKIPPED  database_integrity on inventory/embedded",
            "WARN  database_integrity on inventory/embedded",
        )
    )
    assert "Mend: allow more time" in done.stdout
