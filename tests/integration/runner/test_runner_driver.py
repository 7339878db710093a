"""Runs from end to end: what a good one records, how a bad one is told, and what the command line shows."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from runner_checkout import until

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.runner import CompletedRun, Progress, processes, record
from courtkeeper.runner.record import RunStatus

Run = Callable[..., CompletedRun]
Courtkeeper = Callable[..., subprocess.CompletedProcess[str]]


def test_a_good_run_is_recorded_whole(run: Run, checkout: Path) -> None:
    told: list[Progress] = []
    now = datetime(2026, 2, 12, 6, tzinfo=UTC)
    ticks = iter([now, now, now, now + timedelta(seconds=3)])
    done = run("good", check=True, diff=True, on_progress=told.append, clock=lambda: next(ticks))
    r = done.record
    assert done.directory == checkout / "var/runs" / r.run_id
    assert r.run_id.startswith("20260212T060000Z-good-")
    assert (r.status, r.message, r.check, r.inventory, r.duration_s) == (
        RunStatus.OK,
        "",
        True,
        "inventory/x",
        3.0,
    )
    assert [(t.name, t.status) for t in r.tasks] == [
        ("Load the games", "changed"), ("Skip this", "skipped"), ("Repeat", "ok"),
    ]  # fmt: skip
    assert r.tasks[0].duration_s > 0.45
    assert [h.finding.status for h in r.findings] == [Status.WARN, Status.CRIT, Status.UNKNOWN]
    assert (r.worst, r.exit_code, r.changed) == (Status.CRIT, 3, True)
    assert r.metrics == {"rows_upserted": 3, "duration_s": 0.9}
    assert r.host_stats["here"]["changed"] == 1
    assert Progress("Load the games", "here", 3, 3, "step 3 ") in told
    assert record.read(done.directory / "run.json") == r


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job", "how", "status", "message"),
    [
        (
            "spec", {}, RunStatus.REFUSED,
            "here: role strict: missing required arguments: strict_database. "
            "Set strict_database in inventory/x/group_vars/all/platform.yml.",
        ),
        (
            "hint", {}, RunStatus.REFUSED,
            "here: Use it: say where the database is. "
            "(database_dsn in inventory/x/group_vars/all/platform.yml)",
        ),
        (
            "undefined", {}, RunStatus.REFUSED,
            "here: Use it: 'nowhere' is undefined. Set nowhere in inventory/x/group_vars/all/platform.yml.",
        ),
        (
            "module", {"extra_vars": {"how": "configuration"}}, RunStatus.REFUSED,
            "here: Call it: no_such_database is not set. "
            "Set no_such_database in inventory/x/group_vars/all/platform.yml.",
        ),
        (
            "module", {"extra_vars": {"how": "raise"}}, RunStatus.FAILED,
            "here: Call it: a module's own mistake.",
        ),
        ("command", {}, RunStatus.FAILED, "here: Run it: sh ended with exit code 3: why."),
        pytest.param(
            "everyone", {"limit": None}, RunStatus.FAILED,
            "gone cannot be reached: ssh: connect to host 127.0.0.1 port 1: Connection refused.",
            marks=pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no ssh on this machine"),
        ),
        (
            "nobody", {}, RunStatus.REFUSED,
            "No host of inventory/x is one that playbooks/nobody.yml is for, so nothing was done: "
            "add one to the group nobody, in inventory/x/hosts.yml.",
        ),
        (
            "broken", {}, RunStatus.REFUSED,
            "YAML parsing failed: While parsing a flow node did not find expected node content "
            "(playbooks/broken.yml:3).",
        ),
        (
            "unknown_module", {}, RunStatus.REFUSED,
            "couldn't resolve module/action 'no_such_module'. This often indicates a misspelling, missing "
            "collection, or incorrect module path (playbooks/unknown_module.yml:3).",
        ),
        (
            "nobody", {"inventory": "bad"}, RunStatus.REFUSED,
            "The inventory inventory/bad/hosts.yml cannot be read: YAML parsing failed: While parsing a flow "
            "mapping did not find expected ',' or '}' (inventory/bad/hosts.yml:3).",
        ),
        (
            "everyone", {"limit": "nowhere"}, RunStatus.REFUSED,
            "--limit nowhere matches no host of inventory/x; name one of its hosts.yml.",
        ),
    ],
)  # fmt: skip
def test_what_went_wrong_is_one_sentence(
    run: Run, job: str, how: dict[str, object], status: RunStatus, message: str
) -> None:
    r = run(job, **how).record
    assert (r.message, r.status) == (message, status)
    assert r.exit_code == (2 if status is RunStatus.REFUSED else 1)


@pytest.mark.slow
@pytest.mark.parametrize(("check", "status"), [(False, RunStatus.FAILED), (True, RunStatus.REFUSED)])
@pytest.mark.parametrize("job", ["late", "module"])
def test_a_wrong_configuration_after_a_change_is_a_failure(
    run: Run, job: str, check: bool, status: RunStatus
) -> None:
    done = run(job, extra_vars={"how": "partly"}, check=check, report=True)
    r = done.record
    assert (r.status, r.exit_code) == (status, 1 if status is RunStatus.FAILED else 2)
    assert r.message.startswith("here: Call it: ")
    assert r.changed
    assert r.actions
    assert r.details
    assert Status.WARN in {h.finding.status for h in r.findings}
    assert done.report is not None
    page = " ".join(done.report.read_text().split())
    assert r.actions[0] in page
    if not check:
        assert "othing was changed" not in page
        assert "Before that, 1 action was done" in page


def runs_of(checkout: Path) -> set[str]:
    return {path.name for path in (checkout / "var/runs").glob("*")}


@pytest.mark.parametrize(
    ("job", "how", "message"),
    [
        ("gud", {}, "There is no job 'gud': .* Did you mean good"),
        (
            "good",
            {"inventory": "y"},
            "There is no inventory 'y': the checkout holds inventory/bad, inventory/lost",
        ),
        ("good", {"day": "2026-2-1"}, "'2026-2-1' is not a date"),
        ("good", {"day": "2999-01-01"}, "2999-01-01 is in the future"),
        ("good", {"inventory": "lost"}, "gone.json .* does not exist: run `courtkeeper platform up`"),
        ("good", {"timeout_s": 0.0}, "A time limit of 0 s leaves no time"),
        ("good", {"limit": ""}, "--limit is empty"),
        ("good", {"extra_vars": {"courtkeeper_secrets": "x"}}, "-e may not set courtkeeper_secrets"),
        (
            "spec",
            {"extra_vars": {"strict_databse": "x"}},
            "-e strict_databse: the role strict has no such variable; did you mean strict_database",
        ),
    ],
)
def test_a_wrong_request_starts_and_writes_nothing(
    run: Run, checkout: Path, job: str, how: dict[str, object], message: str
) -> None:
    before = runs_of(checkout)
    with pytest.raises(ConfigurationError, match=message):
        run(job, **how)
    assert runs_of(checkout) == before


def test_the_same_job_does_not_run_twice_at_once(run: Run) -> None:
    second: list[str] = []

    def again(_: Progress) -> None:
        if not second:
            with pytest.raises(CourtkeeperError) as caught:
                run("undefined")
            second.append(str(caught.value))

    assert run("undefined", on_progress=again).record.status is RunStatus.REFUSED
    assert len(second) == 1
    assert second[0].startswith("undefined is already running on inventory/x (process ")


def test_a_disk_that_cannot_be_written_is_a_sentence(run: Run, checkout: Path, tmp_path: Path) -> None:
    for name in ("ansible.cfg", "playbooks", "inventory"):
        (tmp_path / name).symlink_to(checkout / name)
    (tmp_path / "var").write_text("a file where a directory should be")
    with pytest.raises(CourtkeeperError, match=r"var/locks/.* cannot be written: .*; make room"):
        run("nobody", root=tmp_path, inventory="bad")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system to fill")
@pytest.mark.parametrize("room_kb", [0, 4])
def test_a_disk_that_is_full_is_a_sentence_and_leaves_no_process(
    run: Run, checkout: Path, tmp_path: Path, room_kb: int
) -> None:
    for name in ("ansible.cfg", "playbooks", "inventory"):
        (tmp_path / name).symlink_to(checkout / name)
    var = tmp_path / "var"
    var.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(var)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        (var / "platform").mkdir()
        (var / "platform/secrets.json").touch(0o600)
        (var / "platform/secrets.json").write_text("{}")
        with contextlib.suppress(OSError), (var / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"x" * 1024):
                pass
        os.truncate(var / "filler", (var / "filler").stat().st_size - room_kb * 1024)
        with pytest.raises(CourtkeeperError, match=r"^var/\S+ cannot be written: No space left on device;"):
            run("nobody", root=tmp_path)
        for run_dir in (var / "runs").glob("*"):
            assert processes.of_run(run_dir) == set()
    finally:
        subprocess.run(["umount", str(var)], check=True)


@pytest.mark.slow
def test_runs_in_threads_of_one_process_do_not_mix(run: Run) -> None:
    done: dict[str, CompletedRun] = {}
    jobs = ("undefined", "command")
    threads = [threading.Thread(target=lambda job=job: done.__setitem__(job, run(job))) for job in jobs]
    for thread in threads:
        thread.start()
    until(lambda: len(done) == len(jobs))
    assert done["undefined"].record.status is RunStatus.REFUSED
    assert done["command"].record.status is RunStatus.FAILED
    assert [t.name for t in done["command"].record.tasks] == ["Run it"]


def test_the_command_line_sums_a_run_up(courtkeeper: Courtkeeper) -> None:
    got = courtkeeper("run", "good", "-i", "inventory/x", "--limit", "here", "--check", "--no-report")
    assert got.returncode == 3, got.stderr
    lines = [" ".join(line.split()) for line in got.stdout.splitlines()]
    assert lines[0].startswith(
        "CRIT good on inventory/x, check mode: nothing was changed, findings: 1 CRIT 1 WARN 1 UNKNOWN, "
    )
    rows = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in Status.__members__]
    assert rows == ["CRIT", "CRIT", "WARN", "UNKNOWN"]
    assert lines[1] == "loaded"
    assert lines[lines.index("Would do (1):") + 1] == "insert 3 rows"
    assert lines[-1].startswith("Record: var/runs/")
    assert "good: Load the games" in got.stderr
    assert "\x1b" not in got.stdout + got.stderr


def test_json_is_the_record_and_nothing_else(courtkeeper: Courtkeeper, checkout: Path) -> None:
    got = courtkeeper("run", "undefined", "-i", "x", "--limit", "here", "--json", "--no-report")
    assert got.returncode == 2
    assert got.stderr == ""
    told = json.loads(got.stdout)
    assert told == json.loads((checkout / "var/runs" / told["run_id"] / "run.json").read_text())


def test_errors_are_one_sentence_without_a_traceback(courtkeeper: Courtkeeper) -> None:
    got = courtkeeper("run", "gud", "-i", "x")
    assert (got.returncode, got.stdout) == (2, "")
    assert got.stderr.startswith("courtkeeper: There is no job 'gud': playbooks/ holds broken, ")
    assert got.stderr.count("\n") == 1
    told = courtkeeper("run", "good", "-i", "x", "--date", "2999-01-01", "--json")
    assert (told.returncode, told.stderr) == (2, "")
    assert "is in the future" in json.loads(told.stdout)["error"]


def test_wrong_usage_exits_2_and_help_and_version_0(courtkeeper: Courtkeeper) -> None:
    for wrong in (["run"], ["run", "good"], ["nonsense"], ["run", "good", "-i", "x", "--timeout", "soon"]):
        assert courtkeeper(*wrong).returncode == 2
    assert courtkeeper("--version").stdout.startswith("courtkeeper ")
    assert "Run a job on a system" in courtkeeper("--help").stdout
    assert "--timeout" in courtkeeper("run", "--help").stdout
