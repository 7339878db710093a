"""Running a tuning on test servers, and a load that it is judged by."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from courtkeeper.findings import Finding, Result
from courtkeeper.redis.tuning.change import Tools
from courtkeeper.redis.tuning.run import tune
from courtkeeper.redis.tuning.settings import TuningSettings, tuning_settings_from
from support.redis import Server, wait_for

# Test machines are busy: only what a test brings about itself may look worse.
CALM = {
    "observe_s": 0.4,
    "settle_s": 0.0,
    "p99_ratio": 50,
    "p99_floor_us": 1e6,
    "ops_ratio": 0,
    "errors_s": 1e6,
}


def told(
    state: Path, gate: dict[str, Any] | None = None, *, check_mode: bool = False, **more: Any
) -> TuningSettings:
    """Settings that apply, watching for less than half a second."""
    given = {"mode": "apply", "state_directory": str(state), "gate": CALM | (gate or {})} | more
    return tuning_settings_from(given, check_mode=check_mode)


def tuned(
    server: Server, state: Path, *, check_mode: bool = False, tools: Tools | None = None, **more: Any
) -> Result:
    """Tune from `server` on."""
    settings = told(state, check_mode=check_mode, **more)
    return tune(server.settings(), settings, check_mode=check_mode, tools=tools)


def values(server: Server, *names: str) -> dict[str, str]:
    """The server's parameters."""
    with server.client() as client:
        return dict(client.config_get(*(names or ("*",))))


def digest(server: Server) -> str:
    """The hash of its file."""
    return hashlib.sha256(server.config.read_bytes()).hexdigest()


def calls(server: Server, command: str) -> int:
    """How often a command was called, refused or not."""
    with server.client() as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def found(result: Result, name: str) -> list[Finding]:
    """The findings `redis.tuning.<name>`."""
    return [finding for finding in result.findings if finding.id == f"redis.tuning.{name}"]


def left_behind(state: Path) -> list[Path]:
    """The changes that are on their way."""
    return sorted(state.glob("*.json"))


@contextmanager
def load(server: Server, work: Callable[[redis.Redis, int], None]) -> Iterator[None]:
    """Do `work(client, n)` over and over beside the test; refusals of the server are part of it."""
    stop = threading.Event()
    failed: list[BaseException] = []
    rounds = [0]

    def run() -> None:
        with server.client() as client:
            while not stop.is_set():
                try:
                    work(client, rounds[0])
                except redis.ResponseError:
                    pass
                except BaseException as error:  # noqa: BLE001 - told to the test
                    failed.append(error)
                    return
                rounds[0] += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: rounds[0] > 20 or failed)
        yield
    finally:
        stop.set()
        thread.join(timeout=120)
    assert not failed, failed
