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
