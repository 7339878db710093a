"""A run's processes are found and ended to the last, and no other process is touched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import ansible_runner.runner
import pexpect
import pytest

from courtkeeper.runner import processes, store, terminal
from courtkeeper.runner.processes import MARK, Cancellation, end_run, of_run
from courtkeeper.runner.progress import ProgressFile
from courtkeeper.runner.terminal import Terminal

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
)
MEEK = "import time; print(1, flush=True); time.sleep(60)"


def start(code: str, mark: Path | None) -> subprocess.Popen[bytes]:
    env = {"PATH": os.environ["PATH"]} | ({MARK: str(mark)} if mark else {})
    child = subprocess.Popen(
        [sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout
    child.stdout.readline()
    return child


def reaped(child: subprocess.Popen[bytes]) -> int:
    return child.wait(timeout=60)


def test_only_the_marked_are_ended_the_meek_at_once_the_stubborn_after_the_grace(tmp_path: Path) -> None:
    mine, other = tmp_path / "1", tmp_path / "12"  # one path begins with the other
    meek, stubborn, bystander = start(MEEK, mine), start(STUBBORN, mine), start(MEEK, other)
    try:
        began = time.monotonic()
        ended, left = end_run(mine, grace_s=0.4)
        assert (ended, left) == (2, [])
        assert 0.4 <= time.monotonic() - began < 60
        assert (reaped(meek), reaped(stubborn)) == (-15, -9)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_child_that_lost_the_mark_is_found_through_its_parent(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {STUBBORN!r}], env={{}}, start_new_session=True)\n"
        "time.sleep(60)"
    )
    parent = start(code, tmp_path)  # the line it waits for is the child's
    found = of_run(tmp_path)
    assert len(found) == 2
    ended, left = end_run(tmp_path, grace_s=0.2)
    assert (ended, left) == (2, [])
    reaped(parent)
    assert not {p.pid for p in found} & set(processes.table())


def test_a_second_request_ends_the_grace(tmp_path: Path) -> None:
    child = start(STUBBORN, tmp_path)
    cancel = Cancellation()
    cancel.request("once")
    threading.Timer(0.3, cancel.request, args=["twice"]).start()
    began = time.monotonic()
    assert end_run(tmp_path, grace_s=200, at_once=cancel.at_once) == (1, [])
    assert time.monotonic() - began < 150
    assert reaped(child) == -9
    assert cancel.reason == "once"


def test_nothing_to_end_is_quick_and_never_ends_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MARK, str(tmp_path))
    assert end_run(tmp_path) == (0, [])


def test_the_lock_names_its_holder_and_is_let_go(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory" / "x"
    with store.only_one(tmp_path, inventory, "job"):
        with (
            pytest.raises(
                store.CourtkeeperError,
                match=rf"job is already running on inventory/x \(process {os.getpid()}\)",
            ),
            store.only_one(tmp_path, inventory, "job"),
        ):
            pass
        with store.only_one(tmp_path, inventory, "other"), store.only_one(tmp_path, tmp_path / "y", "job"):
            pass
    with store.only_one(tmp_path, inventory, "job"):
        pass


def test_progress_is_read_line_by_line_and_anything_else_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    progress = ProgressFile(path)
    assert progress.latest() is None
    with path.open("w") as stream:
        stream.write(
            '{"done": 1, "total": 3, "text": "a"}\n{"done": 2, "total": 3, "text": "b"}\n{"done": 3, "to'
        )
        stream.flush()
        assert progress.latest() == (2, 3, "b")
        stream.write('tal": 3}\nnonsense\n[1]\n{"done": "x", "total": 1}\n')
        stream.flush()
        assert progress.latest() == (3, 3, "")
        assert progress.latest() is None


def test_a_terminal_rests_only_for_a_child_that_still_lives() -> None:
    terminal.use()
    assert ansible_runner.runner.pexpect.spawn is Terminal
    over = Terminal("true", encoding="utf-8")
    over.expect(pexpect.EOF)
    over.wait()
    over.close()
    assert (over.exitstatus, over.ptyproc.delayafterclose) == (0, 0.0)
    lives = Terminal(sys.executable, ["-c", STUBBORN], encoding="utf-8")
    lives.expect("1")
    lives.close()
    assert not lives.isalive()
    assert lives.ptyproc.delayafterclose > 0
