"""What is judged of a host's logs; that each fault is found on a real host is proven by Molecule."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from courtkeeper.findings import Status
from courtkeeper.hosts.logs import audit
from courtkeeper.hosts.logs.config import Block, Configuration

NOW = datetime.fromisoformat("2026-11-22 04:00:00")
LIMITS = audit.Limits(large_mib=100, stale_hours=26, deleted_mib=10)


def block(pattern: str = "/var/log/a.log", **directives: str) -> Block:
    return Block("/etc/logrotate.d/a", 1, [pattern], directives or {"daily": ""}, {})


def seen(**more: Any) -> audit.Seen:
    values: dict[str, Any] = {
        "configuration": Configuration([block()], [], {"weekly": ""}, ["/etc/logrotate.d/a"]),
        "matched": [["/var/log/a.log"]],
        "logs": [audit.Log("/var/log/a.log", 10, 4096)],
        "folders": [audit.Folder("/var/log", 0, 0o775)],
        "deleted": [],
        "hidden_processes": 0,
        "status": {"/var/log/a.log": datetime.fromisoformat("2026-11-21 00:00:00")},
        "status_age_hours": 4.0,
        "status_problem": "",
        "run": audit.Run(True, "success", []),
        "journal": audit.Journal(8 * 2**20, 100 * 2**20),
        "own_files": [],
    }
    return audit.Seen(**{**values, **more})


def faults(**more: Any) -> list[tuple[str, str, Status]]:
    found = audit.judge(seen(**more), LIMITS, NOW)
    return [(each.id, each.subject, each.status) for each in found if each.status is not Status.OK]


def test_a_host_without_a_fault() -> None:
    found = audit.judge(seen(), LIMITS, NOW)
    assert {each.status for each in found} == {Status.OK}
    assert len(found) == 10


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status_age_hours": None, "status": None}, ("logs.status.stale", Status.UNKNOWN)),
        ({"status_age_hours": 26.1}, ("logs.status.stale", Status.CRIT)),
        ({"status_problem": "it is damaged"}, ("logs.status.unreadable", Status.CRIT)),
        ({"run": audit.Run(True, "exit-code", [])}, ("logs.run.failed", Status.CRIT)),
        ({"run": audit.Run(False, "success", [])}, ("logs.run.timer", Status.CRIT)),
        ({"hidden_processes": 3}, ("logs.deleted.open", Status.UNKNOWN)),
        ({"journal": audit.Journal(None, None)}, ("logs.journal.size", Status.UNKNOWN)),
        ({"own_files": ["/etc/logrotate.d/a"], "matched": [[]]}, ("logs.stanza.empty", Status.WARN)),
        ({"folders": [audit.Folder("/var/log", 4, 0o775)]}, ("logs.directory.insecure", Status.CRIT)),
    ],
)
def test_faults(more: dict[str, Any], expected: tuple[str, Status]) -> None:
    assert [(name, status) for name, _subject, status in faults(**more)] == [expected]


def test_a_package_whose_logs_are_not_there_yet_is_no_fault() -> None:
    assert faults(matched=[[]]) == []


def test_the_limits_are_where_they_are_said_to_be() -> None:
    def log(held: int) -> list[audit.Log]:
        return [audit.Log("/var/log/b", held, held)]

    assert faults(logs=log(100 * 2**20 - 1)) == []
    assert faults(logs=log(100 * 2**20)) == [("logs.large.uncovered", "/var/log/b", Status.WARN)]

    def held(size: int) -> list[audit.Holder]:
        return [audit.Holder("/var/log/x", size, 7, "app.service")]

    assert faults(deleted=held(10 * 2**20 - 1)) == []
    assert faults(deleted=held(10 * 2**20)) == [("logs.deleted.open", "/var/log/x", Status.WARN)]
    assert faults(status_age_hours=26.0) == []


@pytest.mark.parametrize("name", ["/var/log/a.log", "/var/log/a.log.1", "/var/log/a.log-20260101.gz"])
def test_a_large_file_of_a_covered_log_is_no_fault(name: str) -> None:
    assert faults(logs=[audit.Log(name, 2**30, 2**30)]) == []


def test_an_overdue_rotation_counts_only_where_dates_decide_and_lines_wait() -> None:
    old = {"/var/log/a.log": datetime.fromisoformat("2026-11-10 00:00:00")}
    assert faults(status=old) == [("logs.rotation.overdue", "/var/log/a.log", Status.WARN)]
    assert faults(status=old, logs=[audit.Log("/var/log/a.log", 0, 0)]) == []
    for directives in ({"daily": "", "size": "1M"}, {"weekly": ""}):
        configuration = Configuration([block(**directives)], [], {}, [])
        assert faults(status=old, configuration=configuration) == []


def test_every_finding_says_what_to_do() -> None:
    found = audit.judge(
        seen(run=audit.Run(False, "exit-code", ["error running script for '/var/log/a.log '"])), LIMITS, NOW
    )
    wrong = [each for each in found if each.status is not Status.OK]
    assert [(each.id, each.subject) for each in wrong] == [
        ("logs.run.timer", "logrotate.timer"),
        ("logs.run.script", "/var/log/a.log"),
    ]
    assert all(each.fix and each.summary.endswith(".") for each in wrong)
