"""From ansible-runner's events to the record, and from Ansible's words to a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import Status
from courtkeeper.runner import failures, record
from courtkeeper.runner.events import Collector
from courtkeeper.runner.record import RunRecord, RunStatus

GOOD = {"id": "nba.game.missing", "subject": "0022500777", "status": "crit", "summary": "No payload."}


def collector() -> Collector:
    now = datetime(2026, 2, 12, tzinfo=UTC)
    return Collector(RunRecord(run_id="r", job="j", inventory="i", check=False, started_at=now))


def ended(
    result: dict[str, Any], *, event: str = "runner_on_ok", host: str = "a", **data: Any
) -> dict[str, Any]:
    base = {"task": "Do it", "task_action": "m", "host": host, "res": result, "duration": 0.5, "role": "r"}
    return {"event": event, "pid": 7, "event_data": {**base, **data}}


def stats(**counts: dict[str, int]) -> dict[str, Any]:
    hosts = {host: 1 for each in counts.values() for host in each}
    return {"event": "playbook_on_stats", "event_data": {"processed": hosts, **counts}}


def test_a_result_with_findings_fills_the_record() -> None:
    c = collector()
    c.take(
        ended(
            {
                "changed": True,
                "findings": [GOOD],
                "actions": ["insert 603 rows"],
                "metrics": {"duration_s": 1.5, "rows_upserted": 603, "flag": True, "text": "x"},
                "details": {"games": []},
                "diff": {"before": "", "after": "603 rows"},
                "msg": "done",
            }
        )
    )
    c.take(stats(ok={"a": 1}, changed={"a": 1}))
    r = c.record
    assert [h.finding.status for h in r.findings] == [Status.CRIT]
    assert r.actions == ["insert 603 rows"]
    assert r.summaries == ["done"]
    assert r.metrics == {"duration_s": 1.5, "rows_upserted": 603}
    assert r.details == {"games": []}
    assert r.diffs == [{"host": "a", "task": "Do it", "before": "", "after": "603 rows"}]
    assert r.host_stats["a"] == {
        "ok": 1, "changed": 1, "failed": 0, "unreachable": 0, "skipped": 0, "rescued": 0, "ignored": 0,
    }  # fmt: skip
    assert r.changed
    task = r.tasks[0]
    assert (task.name, task.host, task.status, task.duration_s, task.role, task.action, task.message) == (
        "Do it", "a", "changed", 0.5, "r", "m", "done",
    )  # fmt: skip
    assert c.pids == {7}


@pytest.mark.parametrize(
    "bad", [{"id": "x"}, "text", None, 7, {**GOOD, "status": "terrible"}, {**GOOD, "summary": 5}]
)
def test_a_malformed_finding_becomes_an_unknown_one(bad: object) -> None:
    c = collector()
    c.take(ended({"findings": [bad, GOOD]}))
    assert [h.finding.status for h in c.record.findings] == [Status.UNKNOWN, Status.CRIT]
    assert "'Do it' cannot be read" in c.record.findings[0].finding.summary


def test_findings_of_a_failed_task_and_of_a_loop_are_kept() -> None:
    c = collector()
    c.take(ended({"findings": [GOOD], "msg": "no"}, event="runner_on_failed"))
    c.take(ended({"results": [{"findings": [GOOD]}, {"findings": [GOOD]}]}))
    assert len(c.record.findings) == 3


PARTIAL = {
    "msg": "The database went away.",
    "changed": True,
    "findings": [GOOD],
    "actions": ["ATL @ CHA (0022500775) loaded"],
    "metrics": {"games_loaded": 1},
    "details": {"games": []},
}


@pytest.mark.parametrize("without", ["", "findings", "actions"])
def test_what_a_task_did_before_it_failed_is_kept(without: str) -> None:
    c = collector()
    partial = {key: value for key, value in PARTIAL.items() if key != without}
    c.take(ended(partial, event="runner_on_failed"))
    c.take(stats(failures={"a": 1}))
    r = c.record
    assert r.changed
    assert len(r.findings) == len(partial.get("findings", []))
    assert r.actions == partial.get("actions", [])
    assert (r.metrics, r.details) == ({"games_loaded": 1}, {"games": []})
    assert [f.message for f in c.open_failures] == ["The database went away."]
    assert r.summaries == []  # the failure's message is said as such


def test_a_module_that_is_not_ours_adds_no_actions() -> None:
    c = collector()
    c.take(ended({"actions": ["opened"], "details": {"x": 1}, "msg": "fine"}))
    assert (c.record.actions, c.record.details, c.record.summaries) == ([], {}, [])


def test_a_change_counts_at_once_and_not_only_at_the_end() -> None:
    c = collector()
    c.take(ended({"results": [{"changed": False}, {"changed": True}]}))
    assert c.record.changed  # a run that is stopped now has no statistics to come


def test_names_taken_by_another_host_or_task_say_whose_they_are() -> None:
    c = collector()
    c.take(ended({"findings": [], "metrics": {"x_s": 1}, "details": {"k": 1}}))
    c.take(ended({"findings": [], "metrics": {"x_s": 2}, "details": {"k": 2}}, host="b"))
    c.take(ended({"findings": [], "metrics": {"x_s": 3}, "details": {"k": 3}}, host="b"))
    assert c.record.metrics == {"x_s": 1, "b.x_s": 2, "b.Do it.x_s": 3}
    assert list(c.record.details.values()) == [1, 2, 3]


def test_only_failures_that_ended_a_host_are_open() -> None:
    c = collector()
    c.take(ended({"msg": "ignored"}, event="runner_on_failed", ignore_errors=True))
    c.take(ended({"msg": "rescued"}, event="runner_on_failed", host="b"))
    c.take(ended({"msg": "first"}, event="runner_on_failed", host="c"))
    c.take(ended({"msg": "last"}, event="runner_on_failed", host="c"))
    c.take(stats(ok={"a": 1}, rescued={"b": 1}, failures={"c": 1}))
    assert [(f.host, f.message) for f in c.open_failures] == [("c", "last")]


def test_events_that_hold_nothing_are_no_harm() -> None:
    c = collector()
    for event in (
        {},
        {"event": "EOF"},
        {"event": "runner_on_ok"},
        {"event": "playbook_on_stats", "event_data": {}},
    ):
        c.take(event)
    assert c.finished


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"msg": "Task failed: Module failed: boom"}, "boom"),
        (
            {
                "msg": "Task failed: Finalization of task args for 'command' failed: Error while "
                "resolving value for '_raw_params': 'x' is undefined"
            },
            "'x' is undefined",
        ),
        (
            {"msg": "Validation of arguments failed:\nmissing required arguments: r"},
            "missing required arguments: r",
        ),
        ({"msg": "The database is down.\nStart it."}, "The database is down. Start it."),
        (
            {"msg": "non-zero return code", "rc": 3, "cmd": ["/bin/x"], "stderr": "a\nwhy\n\n"},
            "/bin/x ended with exit code 3: why",
        ),
        (
            {"msg": "non-zero return code", "rc": 3, "cmd": "x -y", "stdout": "out"},
            "x ended with exit code 3: out",
        ),
        (
            {
                "msg": "Module result deserialization failed: No start of json char found",
                "rc": 137,
                "module_stderr": "Killed\n",
            },
            "the module ended without a result (exit code 137): Killed",
        ),
        (
            {
                "msg": "One or more items failed",
                "results": [{"failed": False, "msg": ""}, {"failed": True, "msg": "item"}],
            },
            "item",
        ),
        ({"censored": "the output has been hidden"}, "the reason is hidden, because the task has no_log"),
        ({}, ""),
    ],
)
def test_ansibles_wrapping_is_taken_off(result: dict[str, Any], message: str) -> None:
    assert failures.message_of(result) == message


def test_a_very_long_message_is_cut() -> None:
    assert len(failures.message_of({"msg": "x" * 10_000})) == 600


def sentence(tmp_path: Path, *lost: failures.Failure) -> str:
    return failures.sentence(lost, tmp_path, tmp_path / "inventory" / "x")


def test_sentences_name_host_task_and_the_others(tmp_path: Path) -> None:
    one = failures.Failure("a", "Do it", "It broke.")
    two = failures.Failure("b", "Do it", "It broke.")
    assert sentence(tmp_path, one) == "a: Do it: It broke."
    assert sentence(tmp_path, one, two) == "a: Do it: It broke. Also failed: b."


def test_unreachable_hosts_are_all_named(tmp_path: Path) -> None:
    lost = [
        failures.Failure(host, "Ping", "Failed to connect to the host via ssh: refused", unreachable=True)
        for host in ("a", "b")
    ]
    assert sentence(tmp_path, lost[0]) == "a cannot be reached: refused."
    assert sentence(tmp_path, *lost) == "a, b cannot be reached; a: refused."


def test_the_variable_behind_a_hint_is_looked_up(tmp_path: Path) -> None:
    settings = tmp_path / "inventory" / "x" / "group_vars" / "all" / "platform.yml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        "other: 1\ndatabase_dsn: >-\n  {{ undef(hint='say where the\n  database is') }}\nlast: 1\n"
    )
    lost = failures.Failure("a", "role r", "say where the database is", configuration=True)
    assert sentence(tmp_path, lost) == (
        "a: role r: say where the database is. (database_dsn in inventory/x/group_vars/all/platform.yml)"
    )


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    c = collector()
    c.take(ended({"findings": [GOOD]}))
    c.record.status = RunStatus.OK
    assert record.read(c.record.write(tmp_path)) == c.record
    assert c.record.exit_code == 3
