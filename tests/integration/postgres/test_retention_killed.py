"""Killed at any of its steps, or with the server gone, and run again: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from courtkeeper.findings import CourtkeeperError
from support.forks import Ended, forked
from support.postgres import Server, drop_database, fresh_database, postgres_server
from support.retention import EVENTS, TICKETS, content, rule, run

pytestmark = pytest.mark.slow
RULES = (
    rule(batch_rows=15),
    rule("events", "happened_at", 150, to="drop_partitions", archive_table="events"),
)
OWN = "ticket_id, status, payload, length, made_at"


def _run_and_die(dsn: str, step: int) -> Ended:
    """Run in a process that kills itself at a step; with -1 it ends, and tells how many there were."""

    def work() -> int:
        steps = 0

        def trace(_step: str) -> None:
            nonlocal steps
            if steps == step:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

        run(dsn, *RULES, trace=trace)
        return steps

    return forked(work)


def _state(admin: psycopg.Connection[Any]) -> list[list[tuple[Any, ...]]]:
    return [
        content(admin, "tickets", OWN),
        content(admin, "archive.tickets", OWN),
        content(admin, "events"),
        content(admin, "archive.events", "event_id, happened_at, note"),
        admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relname ~ '^events_' ORDER BY 1"
        ).fetchall(),
    ]


def test_killed_at_each_step_and_run_again(postgres: Server) -> None:
    made: list[str] = []

    def new() -> str:
        made.append(fresh_database(postgres))
        dsn = postgres.admin_dsn_for(made[-1])
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(TICKETS)
            admin.execute(EVENTS)
        return dsn

    try:
        clean = new()
        counted = _run_and_die(clean, -1)
        assert counted.returncode == 0
        steps = int(counted.told)
        assert steps >= 25
        with psycopg.connect(clean, autocommit=True) as admin:
            expected = _state(admin)
        for step in range(steps):
            dsn = new()
            assert _run_and_die(dsn, step).returncode == -9
            with psycopg.connect(dsn, autocommit=True) as admin:
                # The server may take a moment to see that the client is gone.
                run(dsn, *RULES, lock_timeout_s=10)
                assert _state(admin) == expected, f"killed at step {step}"
            drop_database(postgres, made.pop())
    finally:
        for dsn in made:
            drop_database(postgres, dsn)


def test_a_server_that_dies_in_mid_batch_leaves_whole_batches(tmp_path: Path) -> None:
    # What is committed has to be in the kernel's hands: this time the server itself dies.
    durable = {"synchronous_commit": "on", "full_page_writes": "on"}
    with postgres_server(tmp_path, durable) as server:
        with psycopg.connect(server.admin_dsn, autocommit=True) as admin:
            admin.execute(TICKETS)
            before = content(admin, "tickets", OWN)
        batches = 0

        def die(step: str) -> None:
            nonlocal batches
            batches += step == "committed"
            if step == "taken" and batches == 2:
                identity = server.postgres.running()
                assert identity
                os.kill(identity.pid, 9)
                for pid in _children(identity.pid):
                    os.kill(pid, 9)

        with pytest.raises(CourtkeeperError) as error:
            run(server.admin_dsn, rule(batch_rows=20), trace=die)
        assert "went away" in str(error.value)
        assert "2 batches" in str(error.value)
        partial = error.value.partial
        assert partial
        assert partial.changed
        assert (partial.metrics["batches"], partial.metrics["rows_moved"]) == (2, 40)
        assert "move 40 rows" in partial.actions[-1]
        server.postgres.start()
        _until_it_answers(server)
        run(server.admin_dsn, rule(batch_rows=20))
        with psycopg.connect(server.admin_dsn, autocommit=True) as admin:
            kept, archived = content(admin, "tickets", OWN), content(admin, "archive.tickets", OWN)
        assert len(archived) == 70
        assert sorted(kept + archived, key=lambda row: row[0]) == sorted(before, key=lambda row: row[0])


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _until_it_answers(server: Server) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            psycopg.connect(server.admin_dsn).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server does not come back"
            time.sleep(0.05)
        else:
            return
