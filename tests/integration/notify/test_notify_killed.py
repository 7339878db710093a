"""A notifier that is killed at any moment loses no message, and doubles at most the one it was sending."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from courtkeeper.calendar.load import load
from courtkeeper.notify.model import MessageState
from courtkeeper.notify.outbox import LEASE, Outbox
from courtkeeper.notify.service import Notifier, setup
from courtkeeper.store import open_store
from support.notices import checkout, receiver, scheduled
from support.records import NOON

CHANNELS = "courtkeeper_notifications:\n  channels:\n    - {name: team, secret: address}\n"
NEWS, KILLS, PATIENCE_S = 60, 5, 120
PROGRAM = Path(__file__).parents[2] / "support/killed_notify.py"


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURTKEEPER_STORE", raising=False)
    chance = random.Random(11)
    with receiver() as server, open_store(tmp_path) as store:
        jobs = [{"name": "checks", "notify": ["team"]}]
        inventory = checkout(tmp_path, {"address": f"json://{server.url}/"}, CHANNELS, jobs)
        calendar = load(inventory, tmp_path)
        now = datetime.now(UTC)
        ahead = timedelta(0)

        def notifier() -> Notifier:
            return Notifier(
                "embedded", store=store, read=lambda: setup(tmp_path, inventory), calendar=lambda: calendar,
                clock=lambda: datetime.now(UTC) + ahead, say=print,
            )  # fmt: skip

        notifier().tick()
        first = int((now - NOON) / timedelta(hours=1)) + 1
        for number in range(NEWS):  # each one turns from bad to good or back: each one is news
            scheduled(store, first + number, good=number % 2 == 1)
        before = 0
        for _ in range(KILLS):
            victim = subprocess.Popen(
                [sys.executable, PROGRAM, tmp_path], stdout=subprocess.DEVNULL, env=os.environ | environment()
            )
            try:
                # Killed once it has sent a few more, at whatever it does then.
                enough = before + chance.randrange(1, 8)
                deadline = threading.Event()
                for _ in range(int(PATIENCE_S / 0.002)):
                    if len(server.requests) >= enough or victim.poll() is not None:
                        break
                    deadline.wait(0.002)
                deadline.wait(chance.uniform(0, 0.01))
            finally:
                victim.kill()
                victim.wait()
            before = len(server.requests)
            # What it held is anybody's again after LEASE: as if that had passed.
            with store.database.write() as connection:
                connection.exec_driver_sql("UPDATE outbox SET lease_until = 0 WHERE ended_at IS NULL")
        ahead = LEASE + timedelta(seconds=1)
        for _ in range(20):
            notifier().tick()
        assert set(Outbox(store.database, "embedded").counts()) == {MessageState.SENT}
    told = Counter(each["message"].rpartition("Reference ")[2] for each in server.json)
    assert len(told) == NEWS
    assert sum(told.values()) <= NEWS + KILLS


def environment() -> dict[str, str]:
    return {"PYTHONPATH": str(PROGRAM.parents[1])}
