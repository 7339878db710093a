"""What the terminal says at the end of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from courtkeeper.cli import summary
from courtkeeper.findings import Finding, Status
from courtkeeper.runner import CompletedRun
from courtkeeper.runner.record import HostFinding, RunRecord, RunStatus

NOW = datetime(2026, 2, 12, 6, tzinfo=UTC)


def record(*found: Status, **changes: object) -> RunRecord:
    findings = [
        HostFinding(host="h", finding=Finding(id="a.b", subject=f"thing {i}", status=status, summary="So."))
        for i, status in enumerate(found)
    ]
    given = {"status": RunStatus.OK, "check": False, "findings": findings, **changes}
    return RunRecord(run_id="r", job="j", inventory="i", started_at=NOW, finished_at=NOW, **given)


def lines(capsys: pytest.CaptureFixture[str], shown: RunRecord) -> list[str]:
    summary.show(CompletedRun(shown, Path("/run")), Path("/"))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ([Status.OK], "OK"),
        ([], "OK"),
        ([Status.OK, Status.SKIPPED], "SKIPPED"),
        ([Status.OK, Status.SKIPPED, Status.UNKNOWN], "UNKNOWN"),
        ([Status.UNKNOWN, Status.WARN], "WARN"),
        ([Status.WARN, Status.CRIT], "CRIT"),
    ],
)
def test_the_verdict_is_the_worst_finding(
    capsys: pytest.CaptureFixture[str], found: list[Status], word: str
) -> None:
    assert lines(capsys, record(*found))[0].split()[0] == word


def test_a_run_that_failed_says_so_first_and_that_it_changed_something() -> None:
    failed = record(Status.OK, status=RunStatus.FAILED, changed=True)
    assert summary.verdict_word(failed) == "FAILED"


@pytest.mark.parametrize(("check", "heading"), [(True, "Would do (2):"), (False, "Done (2):")])
def test_actions_are_shown_as_they_are(capsys: pytest.CaptureFixture[str], check: bool, heading: str) -> None:
    actions = ["ATL @ CHA would be loaded", "2 keys would be unlinked"]
    got = lines(capsys, record(check=check, actions=actions))
    at = got.index(heading)
    assert got[at + 1 : at + 3] == [f"  {action}" for action in actions]


def test_many_actions_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert "  and 30 more" in lines(capsys, record(actions=[f"game {i} loaded" for i in range(50)]))


def test_the_jobs_own_sentence_follows_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    said = "2 of 3 Final games of 2026-02-11 are good"
    assert lines(capsys, record(Status.OK, summaries=[said]))[1] == said


@pytest.mark.parametrize("columns", ["200", "30"])
def test_each_finding_has_the_id_that_options_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    got = lines(capsys, record(Status.WARN, Status.OK))
    assert "WARN     thing 0 (a.b)" in got
    assert [line.split() for line in got if line.startswith("OK ") and "thing" in line] == [
        ["OK", "thing", "1", "So.", "(a.b)"]
    ]


def test_a_failure_says_what_was_changed_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    broken = record(status=RunStatus.FAILED, changed=True, message="It broke.", actions=["game 1 loaded"])
    got = lines(capsys, broken)
    assert got[0].startswith("FAILED  j on i, changed, ")
    assert got[1:4] == ["It broke.", "Done (1):", "  game 1 loaded"]
