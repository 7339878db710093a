"""What all verbs of the driver share."""

from __future__ import annotations

import contextlib
import inspect
from importlib import import_module
from pathlib import Path

import pytest

from courtkeeper.cli import _VERBS, main, serve


@pytest.mark.parametrize(
    "verb",
    [
        *("run", "serve", "history", "report", "findings", "approve"),
        *("hold", "release", "cancel", "undo", "doctor"),
    ],
)
def test_a_verb_answers_in_json(verb: str) -> None:
    command = import_module(_VERBS[verb].module).command
    assert "--json" in str(inspect.signature(command).parameters["as_json"].annotation)


@pytest.mark.parametrize(
    "words",
    ["run backup", "serve", "approve backup", "calendar list", "kpi", "notify list", "notify test team",
     "notify deliver"],
)  # fmt: skip
def test_what_is_about_one_system_takes_none_by_itself(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert "Missing option '-i' / '--inventory'" in capsys.readouterr().err


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", ["run", "serve", "findings", "kpi", "report", "undo", "doctor"])
def test_a_verbs_help_is_all_that_it_says_of_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Exit code 0" in helped(capsys, verb)
    assert _VERBS[verb].help in helped(capsys), "the overview has one line"


@pytest.mark.parametrize("words", ["", "calendar", "check", "notify", "platform", "vault", "vault keys"])
def test_an_overview_cuts_no_line_off(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, _, commands = helped(capsys, *words.split()).partition("Commands:\n")
    for line in commands.splitlines():
        assert line.endswith(".")
        assert not line.endswith("..."), line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(("stream", "say"), [("stderr", serve._say), ("stdout", serve._say_json)])
def test_a_log_on_a_full_disk_does_not_end_the_scheduler(
    stream: str, say: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(say)
    went_on = False
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as full:  # it cannot be closed well either
        monkeypatch.setattr(f"sys.{stream}", full)
        say("Nothing is lost.")
        went_on = True
    monkeypatch.undo()
    assert went_on
