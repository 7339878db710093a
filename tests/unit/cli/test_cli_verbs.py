"""What all verbs of the driver share."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from typer import Typer

from courtkeeper.cli import _VERBS, main, serve


@pytest.mark.parametrize("verb", _VERBS)
def test_whatever_a_script_may_call_answers_in_json(verb: str) -> None:
    module = import_module(_VERBS[verb].module)
    wanted = [module.command] if hasattr(module, "command") else list(_commands(module.app))
    for command in wanted:
        assert "as_json" in inspect.signature(command).parameters, command


def _commands(app: Typer) -> Iterator[Callable[..., object]]:
    yield from (each.callback for each in app.registered_commands if each.callback)
    for group in app.registered_groups:
        yield from _commands(group.typer_instance) if group.typer_instance else ()


@pytest.mark.parametrize(
    ("server", "name"),
    [
        (["postgres", "--dsn", "postgresql://me@127.0.0.1:1/x"], "postgres.capacity.sequence"),
        (["redis", "--url", "redis://127.0.0.1:1"], "redis.memory.use"),
    ],
)
def test_a_printed_id_names_its_check(
    server: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in (name, name.partition(".")[2]):
        with pytest.raises(SystemExit) as ended:
            main(["check", *server, "--check", given, "--threshold", f"{given}.warn=60"])
        assert ended.value.code in (1, 2)
        assert "127.0.0.1:1" in capsys.readouterr().err, "it went as far as to the server, which is not there"


@pytest.mark.parametrize("word", ["ok", "skipped", "bad"])
def test_what_is_right_is_not_asked_among_what_is_wrong(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COURTKEEPER_STORE", raising=False)
    (tmp_path / "ansible.cfg").touch()
    (tmp_path / "playbooks").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["findings", "--status", word, "--root", str(tmp_path)])
    assert ended.value.code == 2
    assert f"'{word}' is no status of what is wrong: there are crit, warn" in capsys.readouterr().err


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
