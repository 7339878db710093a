"""SIGKILL at each step: the next run finds a way back, takes it first, and then does what is wanted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.redis.server import connect, replies
from courtkeeper.redis.tuning.change import Tools
from courtkeeper.redis.tuning.run import tune
from courtkeeper.redis.tuning.settings import tuning_settings_from
from support.forks import forked
from support.redis import Server, server
from support.tuning import CALM, calls, digest, found, left_behind, tuned, values

pytestmark = pytest.mark.slow

WISH = {"maxmemory": "512mb", "save": "3600 1", "maxmemory-samples": 9}
NAMES = tuple(WISH)


@pytest.fixture
def running(tmp_path: Path, kind: str) -> Iterator[Server]:
    with server(tmp_path, kind) as made:
        yield made


def killed_at(
    step: str, running: Server, state: Path, ending: str = "SIGKILL", errors: int = 0, **more: Any
) -> int:
    """Run a tuning that gets a signal at `step`; return its exit code.

    `errors` commands fail once the values are set, by which the gate finds the server worse.
    """
    told = {"mode": "apply", "parameters": WISH, "state_directory": str(state), "gate": CALM} | more

    def trace(now: str) -> None:
        if now == "set":
            with connect(running.settings(), purpose="errors") as client:
                replies(client, [("NOSUCH",)] * errors)
        if now == step:
            os.kill(os.getpid(), signal.Signals[ending])

    done = forked(lambda: tune(running.settings(), tuning_settings_from(told), tools=Tools(trace=trace)))
    assert ending != "SIGKILL" or done.returncode == -signal.SIGKILL
    return done.returncode


@pytest.mark.parametrize("step", ["recorded", "set", "judged", "set back"])
def test_an_unjudged_change_is_taken_back_first(running: Server, tmp_path: Path, step: str) -> None:
    state = tmp_path / "state"
    before, file = values(running, *NAMES), digest(running)
    gate = {**CALM, "errors_s": 10}
    killed_at(step, running, state, errors=2000 if step == "set back" else 0, gate=gate)
    (entry,) = left_behind(state)
    assert entry.stat().st_mode & 0o777 == 0o600
    assert running.password not in entry.read_text()
    if step in {"set", "judged"}:
        assert values(running, *NAMES) != before

    shown = tuned(running, state, parameters={"hz": 20}, check_mode=True)
    assert any("take back the tuning" in action for action in shown.actions)
    assert left_behind(state)
    looked = tuned(running, state, parameters={"hz": 20}, mode="check")
    assert "did not come to its end" in found(looked, "interrupted")[0].summary

    result = tuned(running, state, parameters={"hz": 20})
    (finding,) = found(result, "interrupted")
    assert "did not come to its end" in finding.summary
    assert values(running, *NAMES) == before
    assert values(running, "hz") == {"hz": "20"}
    assert digest(running) != file  # hz was written, the rest was not
    assert "512mb" not in running.config.read_text()
    assert "536870912" not in running.config.read_text()
    assert not left_behind(state)
    assert not tuned(running, state, parameters={"hz": 20}).changed


def test_the_same_wish_is_taken_back_and_then_granted(running: Server, tmp_path: Path) -> None:
    state = tmp_path / "state"
    killed_at("set", running, state)
    shown = tuned(running, state, parameters=WISH, check_mode=True)
    result = tuned(running, state, parameters=WISH)
    assert shown.diff == result.diff
    assert found(result, "interrupted")
    assert found(result, "applied")
    assert values(running, "maxmemory") == {"maxmemory": str(512 << 20)}
    assert calls(running, "config|rewrite") == 1


@pytest.mark.parametrize(("step", "written"), [("keeping", 0), ("rewritten", 1)])
def test_a_change_that_passed_is_brought_to_its_end(
    running: Server, tmp_path: Path, step: str, written: int
) -> None:
    state = tmp_path / "state"
    killed_at(step, running, state)
    assert calls(running, "config|rewrite") == written
    result = tuned(running, state, parameters=WISH)
    (finding,) = found(result, "interrupted")
    assert "ended now" in finding.summary
    assert result.changed
    assert calls(running, "config|rewrite") == written + 1
    assert "maxmemory-samples 9" in running.config.read_text()
    assert not left_behind(state)
    assert not tuned(running, state, parameters=WISH).changed


def test_what_ended_well_leaves_nothing(running: Server, tmp_path: Path) -> None:
    state = tmp_path / "state"
    killed_at("kept", running, state)
    assert not left_behind(state)
    assert not tuned(running, state, parameters=WISH).changed


def test_what_others_have_set_since_is_left(running: Server, tmp_path: Path) -> None:
    state = tmp_path / "state"
    killed_at("set", running, state)
    running.do("CONFIG", "SET", "maxmemory-samples", "3")
    result = tuned(running, state, parameters={"hz": 20})
    assert "maxmemory-samples was set by somebody else" in found(result, "interrupted")[0].summary
    assert values(running, "maxmemory-samples", "maxmemory") == {"maxmemory-samples": "3", "maxmemory": "0"}


def test_a_server_started_again_has_lost_it_by_itself(running: Server, tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = values(running)
    killed_at("set", running, state)
    running.kill()
    running.start()
    result = tuned(running, state, parameters={"maxmemory": "0"})
    assert "started again since" in found(result, "interrupted")[0].summary
    assert values(running) == before
    assert not result.changed
    assert not left_behind(state)


def test_a_run_that_is_cancelled_takes_its_change_back_itself(running: Server, tmp_path: Path) -> None:
    state = tmp_path / "state"
    before = values(running), digest(running)
    assert killed_at("set", running, state, "SIGTERM") == 128 + signal.SIGTERM
    assert (values(running), digest(running)) == before
    assert not left_behind(state)
