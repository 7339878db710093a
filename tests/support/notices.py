"""What tests of notifications and key figures share: slots with an end, receivers that are real servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from courtkeeper.runner.record import RunRecord, RunStatus
from courtkeeper.store import Store
from courtkeeper.store.recording import Origin
from courtkeeper.store.tables import slots
from support.records import record

CHANNELS = """\
courtkeeper_notifications:
  time_zone: America/New_York
  link: https://keeper.example
  channels:
    - name: team
      secret: team_address
      digest_at: "07:00"
  pings:
    - name: switch
      secret: switch_address
      method: POST
"""


def slot(
    store: Store,
    job: str,
    at: datetime,
    state: str = "ok",
    *,
    run_id: str = "",
    reason: str = "",
    **given: Any,
) -> int:
    """A slot of the calendar that has come to its end a minute after its time."""
    missed = state == "missed"
    row = {
        "system": "embedded",
        "job": job,
        "scheduled_for": at,
        "trigger": "schedule",
        "state": state,
        "reason": reason,
        "not_before": at,
        "attempt": 0 if missed else 1,
        "run_id": run_id,
        "started_at": None if missed else at,
        "finished_at": at + timedelta(minutes=1),
    }
    with store.database.write() as connection:
        return int(connection.execute(slots.insert().values(row | given).returning(slots.c.id)).scalar_one())


def scheduled(
    store: Store, number: int, *, job: str = "checks", good: bool = True, **given: Any
) -> RunRecord:
    """The run `number` of a job, one an hour, of a slot of the calendar that it brings to its end."""
    done = record(
        number,
        job=job,
        status=RunStatus.OK if good else RunStatus.FAILED,
        message="" if good else "db1: the disk is full.",
        **given,
    )
    state = "ok" if good else "failed"
    mine = slot(store, job, done.started_at, state, run_id=done.run_id, finished_at=done.finished_at)
    store.recording.finish(done, Origin(trigger="schedule", slot=mine))
    return done


@dataclass
class Receiver:
    """A real HTTP server that keeps what it was sent. `answers`: the statuses to give first, then 200."""

    url: str = ""
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def json(self) -> list[dict[str, Any]]:
        return [json.loads(body) for *_, body in self.requests]

    @property
    def paths(self) -> list[str]:
        return [f"{method} {path}" for method, path, *_ in self.requests]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve on a free port of this machine."""
    seen = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            seen.requests.append((self.command, self.path, dict(self.headers), body))
            self.send_response(seen.answers.pop(0) if seen.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    seen.url = f"127.0.0.1:{server.server_port}"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def checkout(
    root: Path, secrets: dict[str, str], channels: str = CHANNELS, jobs: list[dict[str, Any]] | None = None
) -> Path:
    """Write a checkout with an inventory `embedded`, its channels and secrets; return the inventory."""
    inventory = root / "inventory/embedded"
    values = inventory / "group_vars/all"
    values.mkdir(parents=True)
    (root / "playbooks").mkdir()
    (root / "ansible.cfg").touch()
    (inventory / "hosts.yml").write_text("all: {hosts: {here: {}}}\n")
    plan = jobs or [{"name": "checks", "notify": ["team", "switch"]}]
    for job in plan:
        (root / f"playbooks/{job['name']}.yml").write_text("- hosts: all\n")
    entries = [{"schedule": "FREQ=DAILY;BYHOUR=3;BYMINUTE=30", **job} for job in plan]
    (values / "calendar.yml").write_text(yaml.safe_dump({"courtkeeper_calendar": {"jobs": entries}}))
    (values / "notifications.yml").write_text(channels)
    (values / "platform.yml").write_text("courtkeeper_secrets_file: secrets.json\n")
    file = root / "secrets.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(secrets))
    return inventory
