"""What is judged of a host's logs; that each fault is found on a real host is proven by Molecule."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import Status
from courtkeeper.hosts.logs import audit, look, opened
from courtkeeper.hosts.logs.config import Block, Configuration
from courtkeeper.hosts.logs.seen import Folder, Holder, Journal, Log, Run, Seen, Written

NOW = datetime.fromisoformat("2026-11-22 04:00:00")
LIMITS = audit.Limits(large_mib=100, stale_hours=26, deleted_mib=10)


def block(pattern: str = "/var/log/a.log", **directives: str) -> Block:
    return Block("/etc/logrotate.d/a", 1, [pattern], directives or {"daily": ""}, {})


def seen(**more: Any) -> Seen:
    values: dict[str, Any] = {
        "configuration": Configuration([block()], [], {"weekly": ""}, ["/etc/logrotate.d/a"]),
        "matched": [["/var/log/a.log"]],
        "logs": [Log("/var/log/a.log", 10, 4096)],
        "folders": [Folder("/var/log", 0, 0o775)],
        "deleted": [],
        "written": [],
        "unseen": [],
        "hidden_processes": 0,
        "status": {"/var/log/a.log": datetime.fromisoformat("2026-11-21 00:00:00")},
        "status_age_hours": 4.0,
        "status_problem": "",
        "run": Run(True, "success", []),
        "journal": Journal(8 * 2**20, 100 * 2**20),
        "own_files": [],
    }
    return Seen(**{**values, **more})


def faults(**more: Any) -> list[tuple[str, str, Status]]:
    found = audit.judge(seen(**more), LIMITS, NOW)
    return [(each.id, each.subject, each.status) for each in found if each.status is not Status.OK]


def test_a_host_without_a_fault() -> None:
    found = audit.judge(seen(), LIMITS, NOW)
    assert {each.status for each in found} == {Status.OK}
    assert len(found) == 11


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status_age_hours": None, "status": None}, ("logs.status.stale", Status.UNKNOWN)),
        ({"status_age_hours": 26.1}, ("logs.status.stale", Status.CRIT)),
        ({"status_problem": "it is damaged"}, ("logs.status.unreadable", Status.CRIT)),
        ({"run": Run(True, "exit-code", [])}, ("logs.run.failed", Status.CRIT)),
        ({"run": Run(False, "success", [])}, ("logs.run.timer", Status.CRIT)),
        ({"run": Run(True, "", [])}, ("logs.run.unknown", Status.UNKNOWN)),
        ({"unseen": ["/var/lgo"]}, ("logs.large.uncovered", Status.UNKNOWN)),
        ({"journal": Journal(None, None)}, ("logs.journal.size", Status.UNKNOWN)),
        ({"own_files": ["/etc/logrotate.d/a"], "matched": [[]]}, ("logs.stanza.empty", Status.WARN)),
        ({"folders": [Folder("/var/log", 4, 0o775)]}, ("logs.directory.insecure", Status.CRIT)),
    ],
)
def test_faults(more: dict[str, Any], expected: tuple[str, Status]) -> None:
    assert [(name, status) for name, _subject, status in faults(**more)] == [expected]


def test_a_package_whose_logs_are_not_there_yet_is_no_fault() -> None:
    assert faults(matched=[[]]) == []


def test_the_limits_are_where_they_are_said_to_be() -> None:
    def log(held: int) -> list[Log]:
        return [Log("/var/log/b", held, held)]

    assert faults(logs=log(100 * 2**20 - 1)) == []
    assert faults(logs=log(100 * 2**20)) == [("logs.large.uncovered", "/var/log/b", Status.WARN)]

    def held(size: int) -> list[Holder]:
        return [Holder("/var/log/x", size, 7, "app.service")]

    assert faults(deleted=held(10 * 2**20 - 1)) == []
    assert faults(deleted=held(10 * 2**20)) == [("logs.deleted.open", "/var/log/x", Status.WARN)]
    assert faults(status_age_hours=26.0) == []


@pytest.mark.parametrize("name", ["/var/log/a.log", "/var/log/a.log.1", "/var/log/a.log-20260101.gz"])
def test_a_large_file_of_a_covered_log_is_no_fault(name: str) -> None:
    assert faults(logs=[Log(name, 2**30, 2**30)]) == []


def test_an_overdue_rotation_counts_only_where_dates_decide_and_lines_wait() -> None:
    old = {"/var/log/a.log": datetime.fromisoformat("2026-11-10 00:00:00")}
    assert faults(status=old) == [("logs.rotation.overdue", "/var/log/a.log", Status.WARN)]
    assert faults(status=old, logs=[Log("/var/log/a.log", 0, 0)]) == []
    for directives in ({"daily": "", "size": "1M"}, {"daily": "", "minsize": "1M"}, {"weekly": ""}):
        configuration = Configuration([block(**directives)], [], {}, [])
        assert faults(status=old, configuration=configuration) == []
    everywhere = {"minsize": "1M"}
    assert faults(status=old, configuration=Configuration([block()], [], everywhere, [])) == []
    ours = block(daily="", minsize="0", minage="0")
    assert len(faults(status=old, configuration=Configuration([ours], [], everywhere, []))) == 1


def test_where_processes_hide_their_files_neither_of_two_questions_is_answered() -> None:
    assert faults(hidden_processes=3) == [
        ("logs.rotated.written", "processes", Status.UNKNOWN),
        ("logs.deleted.open", "processes", Status.UNKNOWN),
    ]


def test_a_writer_that_goes_on_in_the_rotated_file_is_named_an_hour_after_the_rotation() -> None:
    def at(hour: int, log: str = "/var/log/a.log") -> list[tuple[str, str, Status]]:
        status = {"/var/log/a.log": NOW.replace(hour=hour)}
        return faults(status=status, written=[Written(f"{log}.1", log, 7, "a.service")])

    assert at(3) == [("logs.rotated.written", "/var/log/a.log.1", Status.WARN)]
    assert at(4) == []
    assert at(3, "/var/log/nobody-rotates.log") == []


def test_a_file_of_the_same_name_in_a_container_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.log.1"
    path.touch()
    status = path.stat()

    def found(inode: int) -> list[str]:
        file = opened.Open(os.getpid(), str(path), status.st_dev, inode, 0, written=True, deleted=False)
        return [each.path for each in look._written([file])]

    assert found(status.st_ino) == [str(path)]
    assert found(status.st_ino + 1) == []


def test_only_a_service_can_be_reloaded() -> None:
    fixes = [
        audit.judge(seen(deleted=[Holder("/var/log/x", 2**30, 7, unit)]), LIMITS, NOW)
        for unit in ("app.service", "docker-0123.scope", "")
    ]
    said = [each.fix for found in fixes for each in found if each.status is Status.WARN]
    assert said == [
        "systemctl reload-or-restart app.service", "end or restart process 7", "end or restart process 7"
    ]  # fmt: skip


def test_a_root_that_is_not_there_is_not_called_well(tmp_path: Path) -> None:
    assert look._logs([str(tmp_path / "typo")]) == ([], [f"{tmp_path}/typo"])


def test_a_directory_that_a_link_leads_to_is_not_called_well_unless_it_is_declared(tmp_path: Path) -> None:
    root, data = tmp_path / "log", tmp_path / "data"
    root.mkdir()
    data.mkdir()
    (data / "app.log").write_text("x")
    (root / "app").symlink_to(data)
    assert look._logs([str(root)]) == ([], [f"{root}/app -> {data}"])
    logs, unseen = look._logs([str(root), str(data)])
    assert ([log.path for log in logs], unseen) == ([f"{data}/app.log"], [])


def test_an_odd_name_reaches_no_terminal(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\x1b[2J\xff.log")).touch()
    found = Block("/etc/logrotate.d/a", 1, [f"{tmp_path}/*.log"], {}, {})
    assert look._matched(found) == [f"{tmp_path}/\\x1b[2J\\xff.log"]


def test_every_finding_says_what_to_do() -> None:
    found = audit.judge(
        seen(run=Run(False, "exit-code", ["error running script for '/var/log/a.log '"])), LIMITS, NOW
    )
    wrong = [each for each in found if each.status is not Status.OK]
    assert [(each.id, each.subject) for each in wrong] == [
        ("logs.run.timer", "logrotate.timer"),
        ("logs.run.script", "/var/log/a.log"),
    ]
    assert all(each.fix and each.summary.endswith(".") for each in wrong)
