"""The retention from the command line to the platform's own tables and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from support.checkout import Checkout, checkout

pytestmark = pytest.mark.slow
JOB = ("run", "database_retention", "-i", "inventory/embedded")
FILL = """
INSERT INTO users (email) VALUES ('a@example.net');
INSERT INTO jobs (kind, status, created_at, started_at, finished_at)
SELECT 'report', CASE WHEN n % 10 = 0 THEN 'running' ELSE 'done' END, at, at, CASE WHEN n % 10 > 0 THEN at END
  FROM (SELECT n, now() - n * interval '1 day' AS at FROM generate_series(1, 200) n) x;
INSERT INTO api_requests (method, path, status_code, duration_ms, requested_at)
SELECT 'GET', '/games', 200, 3, now() - n * interval '1 hour' FROM generate_series(1, 1000) n;
INSERT INTO login_attempts (user_id, email, address, succeeded, attempted_at)
SELECT 1, 'a@example.net', '192.0.2.1', true, now() - n * interval '1 day' FROM generate_series(1, 200) n;
INSERT INTO audit_log (user_id, action, object_type, object_id, happened_at)
SELECT 1, 'read', 'game', n::text, now() - n * interval '1 day' FROM generate_series(1, 400) n;
"""
TABLES = {"jobs": 99, "api_requests": 281, "login_attempts": 21, "audit_log": 36}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    with checkout(tmp_path_factory.mktemp("here"), feed_kind="simulated") as made:
        with psycopg.connect(made.dsn(), autocommit=True) as connection:
            connection.execute(FILL)
        yield made


def _run(here: Checkout, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = here.cli(*JOB, "--json", *arguments)
    return done.returncode, json.loads(done.stdout)


def _counts(here: Checkout, schema: str) -> dict[str, int]:
    with psycopg.connect(here.dsn(), autocommit=True) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {schema}.{table}").fetchone()[0]
            for table in TABLES
            if connection.execute("SELECT to_regclass(%s)", [f"{schema}.{table}"]).fetchone()[0]
        }


def test_planned_done_and_done_again(here: Checkout) -> None:
    before = _counts(here, "public")
    code, planned = _run(here, "--check")
    assert code == 0, planned["message"]
    assert planned["changed"]  # it would be
    assert _counts(here, "public") == before
    assert _counts(here, "archive") == {}

    code, done = _run(here)
    assert code == 0, done["message"]
    assert done["changed"]
    assert done["actions"] == planned["actions"]
    archived = _counts(here, "archive")
    assert archived == TABLES
    assert {table: archived[table] + left for table, left in _counts(here, "public").items()} == before
    assert (here.root / "var" / "runs" / done["run_id"] / "report.html").is_file()

    code, again = _run(here)
    assert (code, again["changed"], again["actions"]) == (0, False, [])

    with psycopg.connect(here.dsn(), autocommit=True) as connection:
        for held in done["findings"]:
            connection.execute(held["finding"]["undo"])
    assert _counts(here, "public") == before


REFUSED = [
    ({"keep_days": 0}, "keep_days is 0"),
    ({"keep_days": "ninety"}, "keep_days"),
    ({"table": "jobz"}, "jobz: there is no such table"),
    ({"keep_days": None}, "keep_days"),
    ({"where": "true; DROP TABLE jobs"}, "syntax error"),
    ({"table": "users"}, "foreign key api_keys_user_id_fkey"),
]


def test_bad_input_is_one_sentence_and_exit_code_2(here: Checkout) -> None:
    before = _counts(here, "public")
    good = {"table": "jobs", "column": "created_at", "keep_days": 9}
    told = [{key: value for key, value in (good | case).items() if value is not None} for case, _ in REFUSED]
    cases = [{"database_retention_tables": [table]} for table in told]
    for (case, sentence), said in zip(REFUSED, here.refusals("database_retention", cases), strict=True):
        assert sentence in said, case
    assert _counts(here, "public") == before
