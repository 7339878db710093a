"""The tools of the test hosts: an engine known by more than a process id, images known by their recipe."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import engine  # noqa: E402
import fresh  # noqa: E402
import images  # noqa: E402
import test_hosts as hosts  # noqa: E402


def test_a_process_id_that_was_reused_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RECORD", tmp_path / "process.json")
    assert engine.ours() is None
    me = os.getpid()
    engine.RECORD.write_text(json.dumps({"pid": me, "started": engine.started(me)}))
    assert engine.ours() == me
    engine.RECORD.write_text(json.dumps({"pid": me, "started": "1"}))
    assert engine.ours() is None
    # It ended before its start could be read.
    engine.RECORD.write_text(json.dumps({"pid": 2**22 + 1, "started": None}))
    assert engine.ours() is None
    engine.RECORD.write_text("half a rec")
    assert engine.ours() is None


def test_an_image_is_known_by_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = images.tag("debian12")
    assert before != images.tag("debian13")
    monkeypatch.setitem(images.IMAGES, "debian12", ("12", [*images.HOST, "nginx"]))
    assert images.tag("debian12") != before


def test_fresh_mounts_what_the_settings_of_pip_name(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    settings = {
        "cert": str(tmp_path / "missing.pem"),
        "find-links": str(wheels),
        "extra-index-url": f"https://index.example/simple file://{tmp_path}",
        "timeout": "60",
    }
    assert fresh.mounts(settings) == [
        "--volume", f"{tmp_path}:{tmp_path}:ro", "--volume", f"{wheels}:{wheels}:ro",
    ]  # fmt: skip


# Of a scenario's log: Molecule's headings, and the recaps of the runs between them.
SCENARIO = """\
INFO     [nba_refresh > discovery] scenario test matrix: create, prepare, converge, idempotence, check
INFO     [nba_refresh > converge] Executing
PLAY RECAP *********************************************************************
debian12                   : ok=40   changed=16   unreachable=0    failed=0    skipped=2    rescued=0

INFO     [nba_refresh > converge] Executed: Successful
INFO     [nba_refresh > idempotence] Executing
PLAY RECAP *********************************************************************
debian12                   : ok=30   changed=0    unreachable=0    failed=0    skipped=2    rescued=0

PLAY RECAP *********************************************************************
debian-12.example          : ok=5    changed=0    unreachable=0    failed=0    skipped=4    rescued=0
debian13                   : ok=12   changed=0    unreachable=0    failed=1    skipped=4    rescued=0
localhost                  : ok=99   changed=0    unreachable=0    failed=0    skipped=0    rescued=0

INFO     [nba_refresh > idempotence] Executed: Successful
INFO     [nba_refresh > check] Executing
PLAY RECAP *********************************************************************
debian12                   : ok=50   changed=0    unreachable=0    failed=0    skipped=2    rescued=0
"""


def test_the_tasks_of_a_second_run_are_those_of_the_idempotence_steps_last_recap() -> None:
    assert hosts.second_run(SCENARIO) == {"debian-12.example": 5, "debian13": 13}
    before, after = SCENARIO.split("INFO     [nba_refresh > idempotence] Executing\n")
    assert hosts.second_run(before) == {}
    assert hosts.tasks_by_host(after) == {"debian12": 50}
    assert hosts.tasks_by_host("no recap : ok=3 failed=0") == {}


def test_a_second_run_with_more_than_twelve_tasks_is_one_sentence() -> None:
    assert hosts.too_many({"debian12": 12}) == ""
    assert hosts.too_many({}) == ""
    sentence = hosts.too_many({"debian12": 12, "debian13": 13})
    assert sentence == "the second run ran 13 tasks on debian13; the limit is 12"


@pytest.fixture
def molecule_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a Molecule in place that says a text and passes."""
    script = tmp_path / "molecule"
    monkeypatch.setattr(hosts, "molecule", lambda *_: [str(script)])
    monkeypatch.setattr(hosts, "ROOT", tmp_path)
    monkeypatch.setattr(hosts, "LOGS", tmp_path)

    def say(text: str) -> None:
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        script.chmod(0o755)

    return say


def test_a_scenario_whose_log_shows_no_second_run_fails(
    molecule_says: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    molecule_says(SCENARIO.replace("> idempotence]", "> another]"))
    assert hosts.whole_sequence("nba_refresh") is False
    assert "its log shows no second run" in capsys.readouterr().out


@pytest.mark.parametrize("ran", [12, 13])
def test_a_scenario_with_too_many_tasks_fails_though_molecule_passed(
    ran: int, tmp_path: Path, molecule_says: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    text = SCENARIO.replace("failed=1", "failed=0").replace("ok=12 ", f"ok={ran} ")
    molecule_says(text)
    assert hosts.whole_sequence("nba_refresh") is (ran == 12)
    said = capsys.readouterr().out
    assert said.startswith("passed" if ran == 12 else "FAILED")
    assert f"(second run: {ran} tasks, 0 s)" in said
    assert (tmp_path / "nba_refresh.log").read_text() == text


@pytest.fixture
def root_without_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root on a Debian where no engine answers and dockerd ends at once; the directory of its PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in (
        ("docker", "exit 1"),
        ("dockerd", "echo no cgroups here >&2; exit 1"),
        ("apt-get", "exit 100"),
        ("git", "echo 1234567 What is proven"),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(engine, "HOME", tmp_path)  # so that the machine's own engine is out of sight
    monkeypatch.setattr(engine, "RUN", tmp_path / "run")
    for name, file in {"RECORD": "record", "LOG": "log", "USERS": "users", "STARTING": "starting"}.items():
        monkeypatch.setattr(engine, name, tmp_path / file)
    monkeypatch.setattr(sys, "argv", ["tool"])
    return programs


@pytest.mark.parametrize("tool", [hosts, fresh], ids=["test-hosts", "fresh"])
def test_an_engine_that_could_be_had_and_does_not_start_is_a_failure(
    tool: ModuleType, root_without_engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main() == 1
    said = capsys.readouterr().err
    assert "FAILED, dockerd does not run on this machine: no cgroups here." in said


@pytest.mark.parametrize("tool", [hosts, fresh], ids=["test-hosts", "fresh"])
@pytest.mark.parametrize(
    ("user", "reason"),
    [(1000, "only root can start one"), (0, "without apt-get none can be installed here")],
)
def test_where_no_engine_can_be_had_one_sentence_says_so(
    tool: ModuleType,
    user: int,
    reason: str,
    root_without_engine: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("apt-get", "dockerd"):
        (root_without_engine / name).unlink()
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert tool.main() == 0
    said = capsys.readouterr()
    assert "not run, no Docker engine answers" in said.out
    assert reason in said.out
    assert said.err == ""
