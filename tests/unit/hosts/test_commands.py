"""The host's own tools: one sentence when they fail, nothing left running, nothing inherited."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from courtkeeper.hosts import commands
from support.platform import wait_until


def test_output_and_exit_code() -> None:
    output = commands.run([sys.executable, "-c", "print('a'); exit(3)"], timeout_s=20, allowed=(0, 3))
    assert (output.code, output.stdout, output.stderr) == (3, "a\n", "")


def test_input_reaches_the_tool() -> None:
    assert commands.run(["cat"], timeout_s=20, text="grüß").stdout == "grüß"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["no-such-tool"], "no-such-tool is not installed on this host."),
        (["/etc"], "etc could not be started: Permission denied."),
        (["sh", "-c", "echo one >&2; echo two. >&2; exit 4"], "sh failed: two."),
        (["sh", "-c", "exit 4"], "sh failed: exit code 4."),
    ],
)
def test_a_failure_is_one_sentence(command: list[str], sentence: str) -> None:
    with pytest.raises(commands.CommandError) as caught:
        commands.run(command, timeout_s=20)
    assert str(caught.value) == sentence


def test_at_the_end_of_its_time_a_tool_and_its_children_are_ended(tmp_path: Path) -> None:
    script = "sleep 300 & echo $! >$1; wait"
    with pytest.raises(commands.CommandError, match="did not end within 2 s"):
        commands.run(["sh", "-c", script, "sh", tmp_path / "child"], timeout_s=2)
    child = int((tmp_path / "child").read_text())

    def runs() -> bool:
        with suppress(OSError):  # it is gone, perhaps in this moment
            return b"sleep" in Path(f"/proc/{child}/cmdline").read_bytes()
        return False

    wait_until(lambda: not runs())


def test_a_daemon_that_holds_the_pipes_does_not_hold_us() -> None:
    started = time.monotonic()
    with pytest.raises(commands.CommandError, match="did not end within"):
        commands.run(["sh", "-c", "setsid sleep 100 & sleep 300"], timeout_s=0.5)
    assert time.monotonic() - started < 60


def test_nothing_of_the_callers_settings_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    said = commands.run(["env"], timeout_s=20, extra={"NEEDRESTART_MODE": "l"}).stdout
    assert "PYTHONPATH" not in said
    assert "LC_ALL=C.UTF-8" in said
    assert "NEEDRESTART_MODE=l" in said
    assert "/usr/sbin" in said
