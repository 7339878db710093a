"""Rotated files: compressed, archived and removed by age; killed at any point, no line is lost or doubled."""

from __future__ import annotations

import errno
import gzip
import os
from collections import Counter
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.hosts.logs import copies, keep, opened, rotation, state
from courtkeeper.hosts.logs.stanzas import Stanza
from support.killed import killed_at

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture(autouse=True)
def every_process_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may look into its own processes only; a host's root sees all."""
    look = opened.scan
    monkeypatch.setattr(opened, "scan", lambda: opened.Scan(look().files, []))


def stanza(logs: Path) -> Stanza:
    return Stanza(name="app", paths=[f"{logs}/*.log"], frequency="daily", compress_after_days=7, keep_days=30)


def rotated(logs: Path, days: float, *, name: str = "app.log", lines: str = "") -> Path:
    """A file that was rotated so many days ago."""
    when = NOW - timedelta(days=days)
    path = logs / f"{name}-{when.astimezone():%Y%m%d-%H%M%S}"
    path.write_text(lines or f"{days}\n")
    os.utime(path, (when.timestamp(), when.timestamp()))
    return path


def work(logs: Path, archive: str = "") -> list[str]:
    plan = keep.plan([stanza(logs)], archive, NOW)
    for step in plan.steps:
        keep.do(step)
    return [f"{step.kind} {Path(step.file.path).name}" for step in plan.steps]


def lines_below(*folders: Path) -> Counter[str]:
    """Every line that is there, how often: what a person would find."""
    found: Counter[str] = Counter()
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.name.endswith(copies.PART):
                opener = gzip.open if path.suffix == ".gz" else open
                with opener(path, "rt") as stream:  # type: ignore[operator]
                    found.update(stream.read().split())
    return found


def test_readable_for_seven_days_compressed_until_thirty_then_gone(logs: Path) -> None:
    files = {days: rotated(logs, days) for days in (1, 6.9, 7.1, 29.9, 30.1)}
    (logs / "app.log").write_text("current\n")
    done = work(logs)
    assert done == [
        f"remove {files[30.1].name}",
        f"compress {files[29.9].name}",
        f"compress {files[7.1].name}",
    ]
    assert sorted(path.name for path in logs.iterdir()) == sorted(
        ["app.log", files[1].name, files[6.9].name, f"{files[7.1].name}.gz", f"{files[29.9].name}.gz"]
    )
    assert work(logs) == []


def test_a_compressed_file_keeps_content_mode_and_time(logs: Path) -> None:
    path = rotated(logs, 8, lines="a\n" * 100_000)
    path.chmod(0o640)
    before = path.stat()
    work(logs)
    after = Path(f"{path}.gz").stat()
    assert gzip.decompress(Path(f"{path}.gz").read_bytes()) == b"a\n" * 100_000
    assert (after.st_mode, after.st_mtime_ns, after.st_uid) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_uid,
    )
    assert after.st_size < 2000


def test_files_of_debians_naming_and_of_logs_that_are_gone_are_kept_in_order_too(logs: Path) -> None:
    for name in ("old.log.1", "old.log.2.gz", "gone.log-20200101"):
        (logs / name).write_bytes(b"x")
        os.utime(logs / name, (1, 1))
    (logs / "other.txt.1").write_text("not ours")
    os.utime(logs / "other.txt.1", (1, 1))
    assert len(work(logs)) == 3
    assert [path.name for path in logs.iterdir()] == ["other.txt.1"]


def test_a_name_counts_where_it_is_later_than_the_last_line(logs: Path) -> None:
    path = rotated(logs, 5)
    os.utime(path, (1, 1))
    assert work(logs) == []


def test_what_is_still_written_is_left_and_named(logs: Path) -> None:
    path = rotated(logs, 40)
    with path.open("a") as stream:
        os.utime(path, (1, 1))
        plan = keep.plan([stanza(logs)], "", NOW)
        assert plan.steps == []
        assert [finding.id for finding in plan.findings] == ["logs.rotated.held"]
        assert "still writes to it" in plan.findings[0].summary
        stream.write("")
    assert work(logs) == [f"remove {path.name}"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE], ids=["a user's FUSE", "a dead NFS"])
def test_a_file_that_nobody_may_ask_about_hides_no_writer_and_stops_nothing(
    logs: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Below its descriptor, so that it is looked at before that of the writer."""
    stat = os.stat
    with Path(__file__).open("rb") as silent:
        hidden = f"/proc/{os.getpid()}/fd/{silent.fileno()}"
        due, written = rotated(logs, 40), rotated(logs, 8)
        with written.open("a") as writer:
            os.utime(written, (1, 1))

            def asked(path: Any, *more: Any, **options: Any) -> os.stat_result:
                if path == hidden:
                    raise OSError(code, os.strerror(code), path)
                return stat(path, *more, **options)

            monkeypatch.setattr(opened.os, "stat", asked)
            monkeypatch.setattr(opened, "scan", lambda: opened.Scan(list(opened._of(os.getpid())), []))
            assert silent.fileno() < writer.fileno()
            plan = keep.plan([stanza(logs)], "", NOW)
    assert [step.file.path for step in plan.steps] == [str(due)]
    assert [finding.subject for finding in plan.findings] == [str(written)]


def test_where_a_process_hides_its_files_nothing_is_touched(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated(logs, 40)
    monkeypatch.setattr(opened, "scan", lambda: opened.Scan([], [1]))
    plan = keep.plan([stanza(logs)], "", NOW)
    assert plan.steps == []
    assert "hide which files they write" in plan.findings[0].summary


def test_traps_are_left(logs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (logs / "a.log-20200101-000000").symlink_to(secret)
    os.link(secret, logs / "b.log-20200101-000000")
    os.utime(secret, (1, 1))
    (logs / "c.log-20200101-000000").mkdir()
    os.mkfifo(logs / "d.log-20200101-000000")
    plan = keep.plan([stanza(logs)], "", NOW)
    assert plan.steps == []
    assert "hard link" in plan.findings[0].summary
    assert secret.read_text() == "secret"


def test_a_file_swapped_for_a_link_after_the_plan_is_not_followed(logs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    path = rotated(logs, 8)
    (step,) = keep.plan([stanza(logs)], "", NOW).steps
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(CourtkeeperError):
        keep.do(step)
    assert secret.read_text() == "secret"
    assert not Path(step.target).exists()


def test_a_link_among_the_directories_of_a_pattern_leads_nowhere(logs: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine, other = logs / "mine", tmp_path / "other"
    mine.mkdir()
    (logs / "trap").symlink_to(other)
    for folder in (mine, other):
        rotated(folder, 40)
    declared = Stanza(
        name="app", paths=[f"{logs}/*/*.log"], frequency="daily", compress_after_days=7, keep_days=30
    )
    steps = keep.plan([declared], "", NOW).steps
    assert [Path(step.file.path).parent for step in steps] == [mine]


@pytest.mark.parametrize("days", [8, 31], ids=["compress", "archive"])
def test_a_directory_swapped_for_a_link_after_the_plan_is_not_followed(
    logs: Path, tmp_path: Path, days: float
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    foreign, path = rotated(other, days), rotated(logs, days)
    (step,) = keep.plan([stanza(logs)], str(tmp_path / "archive"), NOW).steps
    logs.rename(tmp_path / "before")
    logs.symlink_to(other)
    with pytest.raises(CourtkeeperError, match="another file than a moment ago"):
        keep.do(step)
    assert [p.name for p in other.iterdir()] == [foreign.name]
    assert (tmp_path / "before" / path.name).exists()


def test_the_directories_of_an_archive_are_open_to_root_and_its_group_only(
    logs: Path, tmp_path: Path
) -> None:
    rotated(logs, 40)
    archive = tmp_path / "archive"
    work(logs, str(archive))
    made = [path for path in (archive, *archive.rglob("*")) if path.is_dir()]
    assert len(made) > 2
    assert {path.stat().st_mode & 0o777 for path in made} == {0o750}


def test_a_file_that_two_stanzas_find_is_handled_once(logs: Path) -> None:
    rotated(logs, 40)
    assert len(keep.plan([stanza(logs), stanza(logs)], "", NOW).steps) == 1


def test_a_date_in_the_name_of_the_log_is_not_that_of_its_rotation(logs: Path) -> None:
    os.utime(rotated(logs, 5, name="import-20260101.log"), (1, 1))
    assert work(logs) == []


def test_a_file_that_grows_while_it_is_copied_is_left(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rotated(logs, 8)
    (step,) = keep.plan([stanza(logs)], "", NOW).steps
    copy = copies._copy

    def and_grow(*arguments: Any) -> str:
        digest = copy(*arguments)
        with path.open("a") as stream:
            stream.write("late\n")
        return digest

    monkeypatch.setattr(copies, "_copy", and_grow)
    with pytest.raises(CourtkeeperError, match="changed while it was copied"):
        keep.do(step)
    assert [p.name for p in logs.iterdir()] == [path.name]
    assert "late" in path.read_text()


def test_a_copy_that_differs_is_not_overwritten(logs: Path) -> None:
    path = rotated(logs, 8)
    Path(f"{path}.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(CourtkeeperError, match="are both there and differ"):
        work(logs)
    assert path.exists()


def test_archived_under_its_whole_path_and_never_over_another(logs: Path, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    path = rotated(logs, 31, lines="one\n")
    work(logs, str(archive))
    kept = Path(f"{archive}{path}")
    assert kept.read_text() == "one\n"
    assert not path.exists()
    assert work(logs, str(archive)) == []
    rotated(logs, 31, lines="two\n")
    work(logs, str(archive))
    assert sorted(p.read_text() for p in kept.parent.iterdir()) == ["one\n", "two\n"]


def test_a_full_disk_is_refused_before_anything_changed(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, due = rotated(logs, 40), rotated(logs, 8)
    monkeypatch.setattr(copies, "free_bytes", lambda _path: 1000)
    with pytest.raises(ConfigurationError, match="MiB free and compressing or archiving"):
        keep.refuse_full_disk(keep.plan([stanza(logs)], "", NOW).steps, "")
    assert old.exists()
    assert due.exists()


def test_a_full_disk_does_not_keep_logrotates_lastaction_from_making_room(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, due = rotated(logs, 40), rotated(logs, 8)
    monkeypatch.setattr(state, "locked", nullcontext)
    monkeypatch.setattr(state, "read", lambda: state.State([stanza(logs)]))
    monkeypatch.setattr(copies, "free_bytes", lambda _path: 1000)
    with pytest.raises(CourtkeeperError, match="MiB free and compressing or archiving"):
        rotation.keep_one("app", NOW)
    assert not old.exists()
    assert due.exists()


@pytest.mark.parametrize("days", [8, 31], ids=["compress", "archive"])
def test_killed_at_any_point_nothing_is_lost_and_after_a_second_run_nothing_is_doubled(
    tmp_path: Path, days: float
) -> None:
    expected = Counter(str(number) for number in range(2000))
    number = 0
    while True:
        number += 1
        logs, archive = tmp_path / f"{number}/logs", tmp_path / f"{number}/archive"
        logs.mkdir(parents=True)
        rotated(logs, days, lines="\n".join(expected))
        killed = killed_at(number, lambda logs=logs, archive=archive: work(logs, str(archive)))  # type: ignore[misc]
        assert set(lines_below(logs, archive)) == set(expected), f"lines are lost after a kill at {number}"
        work(logs, str(archive))
        assert lines_below(logs, archive) == expected, f"wrong after a kill at {number} and a second run"
        assert not list((tmp_path / f"{number}").rglob(f"*{copies.PART}"))
        if not killed:
            break
    assert number > 8, "hardly a point was tried"
