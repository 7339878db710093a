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
    before, above = images.tag("debian12"), images.tag("databases12")
    assert before != images.tag("debian13")
    monkeypatch.setitem(images.IMAGES, "debian12", ("12", [*images.HOST, "nginx"]))
    assert images.tag("debian12") != before
    assert images.tag("databases12") != above


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


def play(name: str, *tasks: str) -> str:
    """A play as Ansible's log shows it, each task with what it says of the hosts."""
    shown = "".join(f"\nTASK [{name} : some task] ****\n{task}\n" for task in tasks)
    return f"\nPLAY [{name}] ****\n{shown}\nPLAY RECAP ****\ndebian12 : ok=99 changed=0 failed=0\n\n"


BOTH = "ok: [debian12]\nok: [debian-13.example -> localhost(debian13)]"
PLAYBOOKS = {"check": "database_integrity", "sort": "os_patching", "patch": "os_patching"}
# Of a scenario's log: Molecule's headings, and the plays between them.
SCENARIO = (
    "INFO     [database > discovery] scenario test matrix: create, prepare, converge, idempotence, check\n"
    "INFO     [database > converge] Executing\n"
    + play("check", *[BOTH] * 20)
    + "INFO     [database > converge] Executed: Successful\n"
    "INFO     [database > idempotence] Executing\n"
    + play("check", *[BOTH] * 5, "skipping: [debian12]", "ok: [localhost]")
    + play("sort", *[BOTH] * 3)
    + play(
        "patch", *["included: /some/tasks.yml for debian12, debian-13.example => (item=1)"] * 2, *[BOTH] * 4
    )
    + "INFO     [database > idempotence] Executed: Successful\n"
    "INFO     [database > check] Executing\n" + play("check", *[BOTH] * 30)
)


def test_the_tasks_of_a_second_run_are_those_of_the_playbook_with_the_most_of_them() -> None:
    assert hosts.second_run(SCENARIO, PLAYBOOKS) == {"debian12": 9, "debian-13.example": 9}
    assert hosts.second_run(SCENARIO.replace("> idempotence]", "> another]"), PLAYBOOKS) == {}
    assert hosts.second_run(SCENARIO, {}) == {"debian12": 14, "debian-13.example": 14}


@pytest.mark.parametrize(
    ("said", "ran"),
    [
        ("ok: [debian12] => (item=1)\nchanged: [debian12] => (item=2)", 1),
        ("fatal: [debian12]: FAILED! => {}", 1),
        ("failed: [debian12] (item=1) => {}\nok: [debian12] => (item=2)", 1),
        ("skipping: [debian12]", 0),
        ("included: /some/tasks.yml for debian12", 1),
        ("included: /some/tasks.yml for debian-13.example", 0),
        ("no host: ok, changed", 0),
    ],
)
def test_what_counts_as_a_task(said: str, ran: int) -> None:
    assert hosts.tasks_by_host(play("check", said), PLAYBOOKS).get("debian12", 0) == ran


@pytest.mark.parametrize("scenario", hosts.all_scenarios())
def test_the_plays_of_every_scenario_stand_in_a_playbook(scenario: str) -> None:
    paths = hosts.converged(scenario)
    assert all(path.is_file() for path in paths)
    assert set(hosts.playbooks(scenario).values()) == {path.stem for path in paths}


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
    monkeypatch.setattr(hosts, "playbooks", lambda _: PLAYBOOKS)

    def say(text: str) -> None:
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        script.chmod(0o755)

    return say


def test_a_scenario_whose_log_shows_no_second_run_fails(
    molecule_says: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    molecule_says(SCENARIO.replace("> idempotence]", "> another]"))
    assert hosts.whole_sequence("database") is False
    assert "its log shows no second run" in capsys.readouterr().out


@pytest.mark.parametrize("ran", [12, 13])
def test_a_scenario_with_too_many_tasks_fails_though_molecule_passed(
    ran: int, tmp_path: Path, molecule_says: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "INFO     [database > idempotence] Executing\n" + play("check", *[BOTH] * ran)
    molecule_says(text)
    assert hosts.whole_sequence("database") is (ran == 12)
    said = capsys.readouterr().out
    assert said.startswith("passed" if ran == 12 else "FAILED")
    assert f"(second run: {ran} tasks, 0 s)" in said
    assert (tmp_path / "database.log").read_text() == text


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
