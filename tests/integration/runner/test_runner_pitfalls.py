"""The pitfalls of ansible-runner that reference/driver.md lists, each with a test."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from runner_checkout import PASSWORD, PIN, command, until, with_word

from courtkeeper.cli.run import cancelled_by_signals
from courtkeeper.runner import Cancellation, CompletedRun, Progress, environment, processes, record
from courtkeeper.runner.record import RunStatus

pytestmark = pytest.mark.slow

Run = Callable[..., CompletedRun]
LONG_GRACE = (
    "from courtkeeper.runner.options import RunOptions; RunOptions.__init__.__kwdefaults__['grace_s'] = 600.0"
)
TREE_SIZE = 4  # the command itself, a new session, one without the mark, an orphan


def started(token: str) -> bool:
    # Ansible hands the token to a shell and to a worker as well: the tree's own four are python's.
    return len(with_word(token)) >= TREE_SIZE


def nothing_left(done_dir: Path, token: str) -> bool:
    return not with_word(token) and not processes.of_run(done_dir)


def test_pitfall_1_cancel_leaves_no_process(run: Run, checkout: Path, token: str) -> None:
    cancel = Cancellation()

    def ask() -> None:
        until(lambda: started(token))
        cancel.request("by the test")

    asker = threading.Thread(target=ask)
    asker.start()
    began = time.monotonic()
    done = run("long", extra_vars={"token": token}, cancel=cancel)
    asker.join()
    assert time.monotonic() - began < 120
    assert nothing_left(done.directory, token)
    assert done.record.status is RunStatus.CANCELLED
    assert done.record.exit_code == 1
    assert done.record.message.startswith("Cancelled by the test after ")
    assert done.record.message.endswith("during 'Take very long' on here.")
    assert record.read(done.directory / "run.json") == done.record
    assert not (checkout / "reached").exists()


def test_pitfall_1_timeout_leaves_no_process(run: Run, token: str) -> None:
    done = run("long", extra_vars={"token": token}, timeout_s=4.0)
    assert nothing_left(done.directory, token)
    assert done.record.status is RunStatus.TIMEOUT
    assert done.record.message.startswith("Stopped at its time limit of 4 s, ")


def test_pitfall_1_a_run_cancelled_before_it_begins_starts_nothing(run: Run, token: str) -> None:
    cancel = Cancellation()
    cancel.request("at once")
    done = run("long", extra_vars={"token": token}, cancel=cancel)
    assert done.record.status is RunStatus.CANCELLED
    assert done.record.message.endswith("before its first task.")
    assert nothing_left(done.directory, token)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_pitfall_1_a_signal_to_the_driver_leaves_no_process(
    checkout: Path, token: str, number: signal.Signals
) -> None:
    argv, how = command(
        checkout, "run", "long", "-i", "x", "--limit", "here", "-e", f"token={token}", "--json"
    )
    if number == signal.SIGINT:
        argv[2] = f"{LONG_GRACE}; {argv[2]}"
    driver = subprocess.Popen(argv, stdout=subprocess.PIPE, **how)
    until(lambda: len(with_word(token)) > TREE_SIZE)  # the driver's own argv holds the token too
    driver.send_signal(number)
    if number == signal.SIGINT:
        # The first is heard when the run's tree is told to end: the command that dies of SIGTERM is gone.
        until(lambda: len(with_word(token)) <= TREE_SIZE)
        driver.send_signal(number)  # the second ends the grace, which is longer than we wait
    out, _ = driver.communicate(timeout=120)
    assert driver.returncode == 1
    told = json.loads(out)
    assert (told["status"], told["message"].split(" after")[0]) == (
        "cancelled",
        f"Cancelled by {number.name}",
    )
    assert nothing_left(checkout / "var/runs" / told["run_id"], token)


def test_pitfall_1_a_terminal_that_is_closed_leaves_no_process_and_a_whole_record(
    checkout: Path, token: str
) -> None:
    argv, how = command(checkout, "run", "long", "-i", "x", "--limit", "here", "-e", f"token={token}")
    ours, its = pty.openpty()
    # A session of its own, whose terminal closes with our end of it, as an ssh connection that is lost.
    lead = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    argv = [sys.executable, "-c", lead, *argv]
    driver = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, start_new_session=True, **how)
    os.close(its)
    until(lambda: len(with_word(token)) > TREE_SIZE)
    os.close(ours)
    driver.wait(timeout=120)
    last = next(r for r in reversed(records(checkout)) if r.job == "long")
    assert last.status is RunStatus.CANCELLED
    assert last.message.startswith("Cancelled by SIGHUP after ")
    assert nothing_left(checkout / "var/runs" / last.run_id, token)


def test_pitfall_1_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cancelled_by_signals(Cancellation()):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def argv_of(pid: int) -> bytes:
    """The command line of a process, empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_pitfall_1_an_ansible_that_was_killed_leaves_no_process(run: Run, token: str) -> None:
    def kill() -> None:
        until(lambda: started(token))
        for pid, process in processes.table().items():
            if process.parent == os.getpid() and b"ansible-playbook" in argv_of(pid):
                os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    done = run("long", extra_vars={"token": token})
    killer.join()
    assert nothing_left(done.directory, token)
    assert done.record.status is RunStatus.FAILED
    assert "ansible-playbook was killed from outside" in done.record.message


class Watcher(threading.Thread):
    """Looks for secrets in the arguments, environments and files of a run while it goes on.

    Writes `looked` once it has seen a file of each of `names`: the run waits for it.
    """

    def __init__(self, root: Path, looked: Path, names: set[str]) -> None:
        super().__init__(daemon=True)
        self.root, self.looked, self.names = root, looked, names
        self.over = threading.Event()
        self.found: set[str] = set()
        self.seen: set[str] = set()

    def run(self) -> None:
        while not self.over.wait(0.01):
            places = list((self.root / "var/runs").rglob("*"))
            for run_dir in (self.root / "var/runs").glob("*"):
                for process in processes.of_run(run_dir):
                    base = Path("/proc") / str(process.pid)
                    places += [base / "cmdline", base / "environ"]
            for place in places:
                self.look(place)
            if self.names <= self.seen:
                self.looked.touch()

    def look(self, place: Path) -> None:
        try:
            if place.is_fifo() or place.is_dir():
                return
            content = place.read_bytes()
        except OSError:
            return
        self.seen.add(place.name)
        self.found |= {str(place) for secret in (PASSWORD, PIN) if secret.encode() in content}


def test_pitfall_2_secrets_are_in_no_argument_environment_or_file_while_it_runs(
    run: Run, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", PASSWORD)
    looked = tmp_path / "looked"
    watcher = Watcher(checkout, looked, {"cmdline", "environ", "command", "progress.jsonl"})
    watcher.start()
    done = run("quiet_secret", extra_vars={"word": PIN, "looked": str(looked)})
    watcher.over.set()
    watcher.join()
    assert done.record.status is RunStatus.OK
    assert looked.exists()
    assert not watcher.found


def test_pitfall_2_and_redaction_no_secret_is_left_even_by_a_playbook_that_prints_it(
    run: Run, checkout: Path, tmp_path: Path
) -> None:
    proof = tmp_path / "proof"
    told: list[Progress] = []
    done = run(
        "leaky",
        day="2026-02-11",
        extra_vars={"word": "{{ not a template }}", "proof": str(proof)},
        on_progress=told.append,
    )
    assert json.loads(proof.read_text()) == [PASSWORD, PIN, "2026-02-11", "{{ not a template }}"]
    r = done.record
    assert r.status is RunStatus.FAILED
    assert r.message == "here: Warn of ********: cannot log in with ******** and ********."
    assert r.actions == ["insert 3 rows ********"]
    assert r.details == {"said": "********"}
    assert [h.finding.subject for h in r.findings[:2]] == ["game 1", "********"]
    assert "step 3 ********" in [moment.text for moment in told]
    assert "********" in (done.directory / "output.log").read_text()
    spelled = [PASSWORD, json.dumps(PASSWORD)[1:-1], json.dumps(PASSWORD, ensure_ascii=False)[1:-1], PIN]
    left = [
        path
        for path in (checkout / "var/runs").rglob("*")
        if path.is_file() and any(form.encode() in path.read_bytes() for form in spelled)
    ]
    assert not left
    assert not list((checkout / "var/runs").glob("*/private"))


def test_a_secret_given_by_hand_is_in_no_file_either(run: Run, checkout: Path) -> None:
    given = {"how": f"the token {PIN} and hand-0f-go", "my_api_token": "hand-0f-go"}
    done = run("module", extra_vars=given, report=True)
    assert done.record.arguments[-4:] == [
        "-e",
        "how=the token ******** and ********",
        "-e",
        "my_api_token=********",
    ]
    for path in done.directory.iterdir():
        assert not re.search(f"hand-0f-go|{PIN}", path.read_text()), path.name


def test_pitfall_3_our_signal_handlers_stay_ours(run: Run) -> None:
    def ours(number: int, frame: object) -> None:
        raise AssertionError(number, frame)

    during: list[Any] = []
    before = {number: signal.signal(number, ours) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        run("nobody", on_progress=lambda _: during.append(signal.getsignal(signal.SIGTERM)))
        run("undefined", on_progress=lambda _: during.append(signal.getsignal(signal.SIGINT)))
        assert during
        assert set(during) == {ours}
        assert {signal.getsignal(number) for number in before} == {ours}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_pitfall_3_the_command_line_restores_the_handlers_it_found() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    cancel = Cancellation()

    def fail_after_a_signal() -> None:
        with cancelled_by_signals(cancel):
            os.kill(os.getpid(), signal.SIGTERM)
            until(cancel.requested.is_set)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_a_signal()
    assert cancel.reason == "by SIGTERM"
    assert {number: signal.getsignal(number) for number in before} == before


def test_pitfall_4_an_ansible_playbook_that_vanished_is_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "ansible_playbook", lambda _: (tmp_path, str(tmp_path)))
    done = run("good")
    assert done.record.status is RunStatus.FAILED
    assert done.record.message == "ansible-playbook could not be started: it is not on PATH or cannot be run."


def test_pitfall_5_a_slow_listener_delays_nothing_and_loses_nothing(run: Run) -> None:
    told: list[Progress] = []

    def slow(moment: Progress) -> None:
        told.append(moment)
        time.sleep(0.5)

    done = run("good", on_progress=slow)
    assert done.record.status is RunStatus.OK
    assert [task.name for task in done.record.tasks] == ["Load the games", "Skip this", "Repeat"]
    assert told


def test_pitfall_5_a_listener_that_raises_ends_the_run_cleanly(run: Run, checkout: Path, token: str) -> None:
    def broken(moment: Progress) -> None:
        if moment.task == "Take very long":
            until(lambda: started(token))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run("long", extra_vars={"token": token}, on_progress=broken)
    assert not with_word(token)
    later = run("nobody")
    last = [r for r in records(checkout) if r.run_id < later.record.run_id][-1]
    assert (last.status, last.job) == (RunStatus.FAILED, "long")


def records(checkout: Path) -> list[record.RunRecord]:
    return [record.read(path) for path in sorted((checkout / "var/runs").glob("*/run.json"))]


def test_pitfall_6_what_a_dead_driver_left_is_ended_and_marked(run: Run, checkout: Path, token: str) -> None:
    argv, how = command(checkout, "run", "long", "-i", "x", "--limit", "here", "-e", f"token={token}", "-q")
    driver = subprocess.Popen(argv, **how)
    until(lambda: len(with_word(token)) > TREE_SIZE)
    driver.kill()
    driver.wait()
    dead = next(r for r in reversed(records(checkout)) if r.job == "long")
    assert dead.status is RunStatus.RUNNING
    assert started(token)
    run("nobody", clock=lambda: datetime(2030, 1, 1, tzinfo=UTC))
    closed = record.read(checkout / "var/runs" / dead.run_id / "run.json")
    assert nothing_left(checkout / "var/runs" / dead.run_id, token)
    assert closed.status is RunStatus.FAILED
    assert closed.message.startswith("The driver died before the run ended; ")
    assert closed.finished_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert not (checkout / "var/runs" / dead.run_id / "private").exists()


def test_pitfall_6_a_driver_killed_at_once_leaves_no_ansible_waiting(checkout: Path, token: str) -> None:
    argv, how = command(checkout, "run", "long", "-i", "x", "--limit", "here", "-e", f"token={token}", "-q")
    before = {path.name for path in (checkout / "var/runs").glob("*-long-*")}

    def ours() -> list[processes.Process]:
        new = {path for path in (checkout / "var/runs").glob("*-long-*") if path.name not in before}
        return [process for path in new for process in processes.of_run(path)]

    driver = subprocess.Popen(argv, **how)
    until(ours)
    driver.kill()
    driver.wait()
    until(lambda: not ours())


def test_pitfall_7_a_run_leaves_its_record_and_its_output_and_no_file_per_event(run: Run) -> None:
    done = run("undefined")
    assert sorted(path.name for path in done.directory.rglob("*")) == ["output.log", "run.json"]
    assert (done.directory / "output.log").stat().st_mode & 0o777 == 0o600
