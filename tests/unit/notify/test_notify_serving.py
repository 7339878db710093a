"""`courtkeeper serve` tells people and probes, from its own configuration, until it is stopped."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from courtkeeper.kpi import probes
from courtkeeper.notify.outbox import Outbox
from courtkeeper.runner.record import RunStatus
from courtkeeper.scheduler import service
from courtkeeper.store import open_store
from courtkeeper.store.notice_tables import noticed, outbox
from courtkeeper.store.retention import Keep
from support.notices import checkout, receiver
from support.records import record

pytestmark = pytest.mark.slow

CHANNELS = """\
courtkeeper_notifications:
  channels:
    - {name: team, secret: team_address}
  pings:
    - {name: alive, secret: alive_address, every_minutes: 60}
"""
PATIENCE_S = 120


def test_serve_tells_and_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURTKEEPER_STORE", raising=False)
    said: list[str] = []
    stop = threading.Event()
    with receiver() as server, open_store(tmp_path) as store:
        secrets = {"team_address": f"json://{server.url}/team", "alive_address": f"http://{server.url}/alive"}
        inventory = checkout(tmp_path, secrets, CHANNELS, [{"name": "checks", "notify": ["team"]}])
        (inventory / probes.PATH).write_text(
            f"courtkeeper_probes: {{probes: [{{name: site, url: 'http://{server.url}'}}]}}\n"
        )
        thread = threading.Thread(
            target=service.serve,
            args=(tmp_path, inventory, store),
            kwargs={"say": said.append, "stop": stop, "at_once": stop, "every_s": 0.1},
        )
        thread.start()
        try:
            wait(lambda: "GET /alive" in server.paths, said)
            now = datetime.now(UTC)
            store.recording.finish(
                record(status=RunStatus.FAILED, started_at=now, finished_at=now + timedelta(seconds=1))
            )
            wait(lambda: "POST /team" in server.paths, said)
            wait(lambda: bool(hours(store)), said)
        finally:
            stop.set()
            thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert [each.title for each in Outbox(store.database, "embedded").latest()] == [
            "[embedded] checks fails"
        ]
        assert hours(store)[0].answered == 1
        assert server.paths.count("GET /alive") == 1

        # And all of it is forgotten in time.
        later = datetime.now(UTC) + timedelta(days=500)
        store.retention.apply(later, Keep())
        assert not hours(store)
        with store.database.read() as connection:
            assert not connection.execute(outbox.select()).all()
            assert not connection.execute(noticed.select()).all()


def hours(store: service.Store) -> list[probes.Hour]:
    now = datetime.now(UTC)
    return probes.hours(store.database, "embedded", now - timedelta(hours=1), now + timedelta(hours=1))


def wait(done: object, said: list[str]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():  # type: ignore[operator]
        assert time.monotonic() < until, said
        threading.Event().wait(0.05)
