"""`courtkeeper undo` and `courtkeeper report` on runs that the store holds."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from courtkeeper.cli import main
from courtkeeper.runner.record import RunRecord
from courtkeeper.store import open_store
from courtkeeper.store.rows import ActionRow
from courtkeeper.undo import ways_back
from support.notices import checkout
from support.records import NOON, found, record


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checkout(tmp_path, {})
    monkeypatch.setenv("COURTKEEPER_ROOT", str(tmp_path))
    monkeypatch.delenv("COURTKEEPER_STORE", raising=False)
    return tmp_path


def keep(root: Path, done: RunRecord) -> RunRecord:
    """A run as its driver leaves it: in its own files; the store takes it in by itself."""
    directory = root / "var/runs" / done.run_id
    directory.mkdir(parents=True)
    done.write(directory)
    return done


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code: object = 0
    try:
        main(list(words))
    except SystemExit as ended:
        code = ended.code or 0
    seen = capfd.readouterr()
    return int(str(code)), seen.out + seen.err


def actions(*undos: str) -> list[ActionRow]:
    return [
        ActionRow(
            id=number, run_id="r", system="embedded", job="j", at=NOON, host="db1", finding_id="",
            subject="s", text="t", undo=undo, undone_at=None, undone_by="",
        )
        for number, undo in enumerate(undos, 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("undo", "kind"),
    [
        ("courtkeeper vault release b1", "command"),
        ("courtkeeper", "words"),
        ("courtkeeper vault release b1; rm -rf /", "words"),
        ("courtkeeper vault release $(id)", "words"),
        ("courtkeeper vault release 'b1", "words"),
        ("apt-get install --allow-downgrades nginx=1.22.1-9", "host"),
        ("apt-get remove nginx && reboot", "words"),
        ("mv --exchange /a /b, or rename both", "words"),
        ("systemctl stop nginx", "words"),
        ("DROP INDEX CONCURRENTLY x;", "sql"),
        ("-- run it by night\nALTER TABLE x RESET (fillfactor);", "sql"),
        ("CONFIG SET maxmemory 0; CONFIG REWRITE", "redis"),
    ],
)
def test_only_what_is_surely_a_command_of_ours_can_be_run(undo: str, kind: str) -> None:
    (way,) = ways_back(actions(undo))
    assert way.kind == kind
    assert bool(way.argv) == (kind in {"command", "host"})


def test_the_last_thing_done_comes_first_and_what_has_no_way_back_not_at_all() -> None:
    ways = ways_back(
        actions("CONFIG SET a 1", "none needed", "", "-- nothing to take back: as it was", "DROP INDEX x;")
    )
    assert [way.number for way in ways] == [5, 1]


def test_a_way_back_is_shown_first_and_run_when_it_is_told(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = keep(
        root,
        record(
            findings=[
                found("/", "ok", applied="held b1", undo="courtkeeper --version"),
                found("/x", "ok", applied="made an index", undo="DROP INDEX x;"),
                found("/y", "ok", applied="made trouble", undo="courtkeeper no-such-verb"),
            ]
        ),
    )
    code, text = run(capfd, "undo", done.run_id)
    assert code == 0
    assert "undo in the database, by db1: DROP INDEX x;" in text
    ways = {each["undo"]: each for each in json.loads(run(capfd, "undo", done.run_id, "--json")[1])["ways"]}
    assert [each["runnable"] for each in ways.values()] == [True, False, True]
    held, index, trouble = (
        str(ways[undo]["action"])
        for undo in ("courtkeeper --version", "DROP INDEX x;", "courtkeeper no-such-verb")
    )
    assert run(capfd, "undo", done.run_id, "--yes")[0] == 2
    assert run(capfd, "undo", done.run_id, "--action", "999", "--yes")[0] == 2
    code, text = run(capfd, "undo", done.run_id, "--action", index, "--yes")
    assert (code, "do it in the database, by db1: DROP INDEX x;" in text) == (2, True)
    assert f"undo {done.run_id} --action {held} --yes" in run(capfd, "undo", done.run_id, "--action", held)[1]
    code, text = run(capfd, "undo", done.run_id, "--action", held, "--yes")
    assert code == 0
    assert text.startswith("courtkeeper 0.")
    assert run(capfd, "undo", done.run_id, "--action", held, "--yes")[0] == 2  # it was taken back
    assert run(capfd, "undo", done.run_id, "--action", trouble, "--yes")[0] == 1
    with open_store(root) as store:
        assert [each.what for each in store.people.audit().rows] == ["undo"]


def test_a_package_is_taken_back_on_its_host(
    root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_ansible = tmp_path / "bin/ansible"  # a real one would change this machine's packages
    fake_ansible.parent.mkdir()
    fake_ansible.write_text(f"#!{sys.executable}\nimport sys\nprint('\\n'.join(sys.argv[1:]))\n")
    fake_ansible.chmod(fake_ansible.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(
        "courtkeeper.runner.environment.ansible_playbook",
        lambda _: (fake_ansible.with_name("ansible-playbook"), ""),
    )
    undo = "apt-get install --allow-downgrades nginx=1.22.1-9"
    done = keep(root, record(findings=[found("nginx", "ok", "web1", applied="upgraded nginx", undo=undo)]))
    (way,) = json.loads(run(capfd, "undo", done.run_id, "--json")[1])["ways"]
    code, text = run(capfd, "undo", done.run_id, "--action", str(way["action"]), "--yes")
    assert code == 0
    assert text.splitlines()[:8] == [
        "-i", str(root / "inventory/embedded"), "web1", "--become", "-m", "ansible.builtin.command", "-a",
        "apt-get -y install --allow-downgrades nginx=1.22.1-9",
    ]  # fmt: skip


def test_a_report_is_written_again(root: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, text = run(capfd, "report")
    assert (code, "Nothing has run yet" in text) == (2, True)
    first, last = keep(root, record(0, [found("/", "warn")])), keep(root, record(1))
    code, text = run(capfd, "report")
    assert (code, text.strip()) == (0, f"var/runs/{last.run_id}/report.html")
    assert (
        "/ is warn."
        in Path(
            json.loads(run(capfd, "report", first.run_id[:16], "--json", "-o", str(tmp_path / "out"))[1])[
                "report"
            ]
        ).read_text()
    )
    assert run(capfd, "report", "nothing-of-that-name")[0] == 2
    (tmp_path / "file").touch()
    assert run(capfd, "report", "-o", str(tmp_path / "file"))[0] == 1
