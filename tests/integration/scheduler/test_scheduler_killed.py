"""Two schedulers on one store, killed again and again: each slot runs once, or is missed with a reason."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from courtkeeper.calendar.load import Loaded
from courtkeeper.scheduler.loop import rule
from courtkeeper.store import Store, open_store
from courtkeeper.store.tables import locks, slots
from support import fake_scheduler
from support.scheduling import HOURLY, START, calendar
from support.stores import ENGINES, store_url

JOBS = 144
EVERY_20_MINUTES = f"{HOURLY},20,40"
SLOTS = JOBS * 24 * 3
REAL_S = 8.0  # for a day: nothing has to be that quick, what is late is caught up with
SPEED = 24 * 3600 / REAL_S
KILLS = 5
AFTER, END = START + timedelta(seconds=1), START + timedelta(days=1)


def processes(context: multiprocessing.context.ForkServerContext, count: int, *args: object):
    started = [context.Process(target=fake_scheduler.main, args=args, daemon=True) for _ in range(count)]
    for each in started:
        each.start()
    return started


def counts(store: Store) -> Counter[str]:
    with store.database.read() as connection:
        query = select(slots.c.state, func.count()).group_by(slots.c.state)
        return Counter({row[0]: row[1] for row in connection.execute(query)})


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_ten_thousand_slots_under_kills(request: pytest.FixtureRequest, tmp_path: Path, engine: str) -> None:
    policies = ["all"] * 5 + ["latest"]
    jobs = [
        {"name": f"j{n}", "schedule": EVERY_20_MINUTES, "misfire": policies[n % 6], "grace_minutes": 2880,
         "concurrency": ["resource:shared"] if n < 2 else []}
        for n in range(JOBS)
    ]  # fmt: skip
    loaded = calendar(tmp_path, *jobs)
    assert not loaded.problems
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.fake_scheduler"])
    with store_url(request, engine, tmp_path) as url, open_store(tmp_path, url) as store:
        begin(store, loaded)
        args = (tmp_path, url, START, time.time(), SPEED)
        alive = processes(context, 2, *args)
        try:
            for number in range(KILLS):
                time.sleep(random.uniform(0.3, 1.6))
                victim = alive.pop(random.randrange(2))
                os.kill(victim.pid, signal.SIGKILL)
                victim.join()
                alive += processes(context, 1, *args)
                assert len(alive) == 2, number
            deadline = time.monotonic() + 240
            while (seen := ended(store)) < SLOTS:
                assert time.monotonic() < deadline, (seen, counts(store))
                assert all(each.is_alive() for each in alive)
                time.sleep(0.2)
        finally:
            for each in alive:
                each.terminate()
                each.join(60)
        assert [each.exitcode for each in alive] == [0, 0]
        judge(store, tmp_path, loaded)


def begin(store: Store, loaded: Loaded) -> None:
    """Know the jobs from START on, so that what is expected does not hang on how fast a process starts."""
    for job in loaded.jobs:
        store.slots.start_job("x", job.name, rule(job), START)


def ended(store: Store) -> int:
    query = select(func.count()).select_from(slots)
    query = query.where(slots.c.scheduled_for <= END, slots.c.finished_at.is_not(None))
    with store.database.read() as connection:
        return connection.execute(query).scalar_one()


def judge(store: Store, root: Path, loaded: Loaded) -> None:
    lines = (root / "runs.txt").read_text().splitlines()
    ran = Counter(tuple(line.split()[:2]) for line in lines)
    assert max(ran.values()) == 1  # none doubled
    rows = store.slots.between(AFTER, AFTER + timedelta(days=1), limit=50_000)
    expected = {
        (job.name, at.isoformat())
        for job in loaded.jobs
        for at in loaded.schedules[job.name].between(AFTER, AFTER + timedelta(days=1))
    }
    found = {(each.job, each.scheduled_for.isoformat()) for each in rows}
    assert found == expected  # none lost
    assert len(rows) == len(found)
    for each in rows:
        began = (each.job, each.scheduled_for.isoformat()) in ran
        assert each.state in ({"ok", "failed"} if began else {"missed"}), each
        assert each.state == "ok" or each.reason, each
    assert Counter(each.state for each in rows)["ok"] > SLOTS * 0.75
    with store.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(locks)).scalar_one() == 0
