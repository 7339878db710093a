"""Old files go from declared directories; traps, what is in use and what is outside stay."""
# ruff: noqa: S108

from __future__ import annotations

import mmap
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.hosts.logs import clean, journal, opened

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=10)


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root of its own; whoever runs the tests may look into its own processes only."""
    look = opened.scan
    monkeypatch.setattr(opened, "scan", lambda: opened.Scan(look().files, []))
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


def run(top: Path, *, now: datetime = LATER, check: bool = False, **entry: Any) -> Any:
    given = [{"path": str(top), "max_age_days": 7, **entry}]
    return clean.clean(given, [str(top)], journal_days=0, journal_mib=0, now=now, check=check)


def test_old_files_go_and_check_mode_names_the_same(top: Path) -> None:
    (top / "a/b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (top / name).write_text("12345")
    assert not run(top, now=NOW).changed
    planned = run(top, check=True)
    assert (top / "one").exists()
    done = run(top)
    assert done.actions == planned.actions
    assert done.actions == [
        f"remove 3 files (15 bytes, untouched for 7 days) from {top}: a/b/three, a/two, one"
    ]
    assert done.metrics["cleaned_bytes"] == 15
    assert [path.name for path in top.rglob("*")] == ["a", "b"]
    assert not run(top).changed


def test_long_lists_are_cut(top: Path) -> None:
    for number in range(25):
        (top / f"{number:02}").touch()
    assert run(top, check=True).actions[0].endswith("09 and 15 more")


@pytest.mark.parametrize("which", ["atime", "mtime"])
def test_a_file_that_was_read_or_changed_lately_stays(top: Path, which: str) -> None:
    path = top / "used"
    path.touch()
    recent, old = LATER.timestamp() - 86400, 1
    os.utime(path, (recent, old) if which == "atime" else (old, recent))
    assert not run(top).changed


def test_times_set_back_do_not_make_a_file_old(top: Path) -> None:
    (top / "new").touch()
    os.utime(top / "new", (1, 1))
    assert not run(top, now=NOW).changed


def test_traps_stay(top: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (top / "link").symlink_to(outside / "secret")
    (top / "directory").symlink_to(outside)
    os.link(outside / "secret", top / "hard")
    os.mkfifo(top / "fifo")
    (top / "systemd-private-x").mkdir()
    (top / "systemd-private-x/file").touch()
    before = sorted(path.name for path in top.rglob("*"))
    assert not run(top).changed
    assert sorted(path.name for path in top.rglob("*")) == before
    assert (outside / "secret").read_text() == "secret"


def test_a_file_in_use_stays(top: Path) -> None:
    (top / "open").touch()
    with (top / "open").open():
        assert not run(top).changed
    assert run(top).changed


def test_a_mapped_file_stays_although_its_descriptor_is_closed(top: Path) -> None:
    (top / "mapped").write_bytes(b"x" * 4096)
    with (top / "mapped").open("r+b") as stream:
        memory = mmap.mmap(stream.fileno(), 4096)
    with memory:
        # mmap.mmap keeps a descriptor of its own; a loaded library does not.
        assert list(clean.sweep(clean.Entry(str(top), 7), set(), opened.mapped(), LATER, check=True)) == []
    assert run(top).changed


@given(st.text(max_size=200))
def test_whatever_a_map_says_there_are_inodes_or_none(text: str) -> None:
    line = "7f0-7f1 r-xp 00000000 fe:01 4711   /tmp/lib one.so\n"
    assert opened.inodes(f"{line}7f2-7f3 rw-p 00000000 00:00 0\n") == {4711}
    assert all(inode > 0 for inode in opened.inodes(text))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_another_directory_of_the_same_disk_mounted_below_is_not_cleaned(top: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (top / "bound").mkdir()
    for path in (tmp_path / "home/precious", top / "old"):
        path.touch()
    bound = subprocess.run(["mount", "--bind", tmp_path / "home", top / "bound"], check=False)
    if bound.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        assert run(top).metrics["cleaned_files"] == 1
        assert (tmp_path / "home/precious").exists()
    finally:
        subprocess.run(["umount", top / "bound"], check=True)


def test_one_file_that_cannot_be_removed_is_named_and_holds_up_no_other(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (top / name).touch()
    unlink = os.unlink

    def refuse(name: str, **more: Any) -> None:
        if name == "b":
            raise PermissionError(1, "Operation not permitted")
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", refuse)
    done = run(top)
    assert done.metrics["cleaned_files"] == 2
    assert [(each.id, each.status) for each in done.findings] == [("logs.clean.left", Status.WARN)]
    assert f"{top}/b could not be cleaned (Operation not permitted)" in done.findings[0].summary


def test_a_directory_swapped_for_a_link_is_not_entered(top: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").touch()
    (top / "a").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigurationError, match="which is outside"):
        clean.clean(
            [{"path": f"{top}/a", "max_age_days": 7}], [str(top)],
            journal_days=0, journal_mib=0, now=LATER, check=False,
        )  # fmt: skip
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        list(clean.sweep(clean.Entry(f"{top}/a", 7), set(), set(), LATER, check=False))
    assert (tmp_path / "outside/file").exists()


def test_deep_nests_and_odd_names_do_no_harm(top: Path) -> None:
    deep = top
    for _ in range(clean.DEEPEST + 5):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    (Path(os.fsdecode(os.fsencode(top) + b"/\xff\n"))).touch()
    done = run(top)
    assert done.metrics["cleaned_files"] == 1
    assert done.actions[0].endswith(r": \xff\x0a")
    assert (deep / "file").exists()


def test_where_processes_hide_their_files_nothing_goes(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (top / "old").touch()
    monkeypatch.setattr(opened, "scan", lambda: opened.Scan([], [1, 2]))
    done = run(top)
    assert not done.changed
    assert [(each.id, each.status) for each in done.findings] == [("logs.clean", Status.UNKNOWN)]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"path": "/"}, "which is outside|absolute path"),
        ({"path": "/etc"}, "/etc, which is outside log_rotation_clean_roots"),
        ({"path": "/tmp/../etc"}, "without dots"),
        ({"path": "/tmp/*"}, "without wildcards"),
        ({"path": "/tmp2"}, "which is outside"),
        ({"max_age_days": 0}, "max_age_days is 0"),
        ({"max_age_days": "7"}, "Expected `int"),
        ({"patterns": ["../x"]}, "no pattern for the name of a file"),
        ({"patterns": []}, "patterns is empty"),
        ({"depth": 1}, "unknown field"),
    ],
)
def test_what_is_refused(entry: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        clean.read([{"path": "/tmp", "max_age_days": 7, **entry}], ["/tmp"])


@pytest.mark.parametrize("root", ["/", "/home", "/var", "/usr/lib", "tmp", "/tmp/"])
def test_roots_that_are_too_wide_or_odd_are_refused(root: str) -> None:
    with pytest.raises(ConfigurationError, match="log_rotation_clean_roots holds"):
        clean.read([], [root])


def test_a_root_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    for root in (tmp_path / "link", tmp_path / "link/ssl"):
        with pytest.raises(ConfigurationError, match="which is a link or leads through one"):
            clean.read([], [str(root)])


@given(st.dictionaries(st.sampled_from(["path", "max_age_days", "patterns"]), st.one_of(
    st.none(), st.integers(), st.text(max_size=20), st.lists(st.text(max_size=5), max_size=3),
)))  # fmt: skip
def test_whatever_is_declared_it_is_read_or_refused(entry: dict[str, Any]) -> None:
    for odd in (entry, {"path": "/tmp", "max_age_days": 7, **entry}):
        try:
            (found,) = clean.read([odd], ["/tmp"])
        except CourtkeeperError:
            continue
        assert found.path == "/tmp" or found.path.startswith("/tmp/")


def test_which_files_of_the_journal_are_due() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    files = [
        journal.Archived(str(days), now.timestamp() - days * 86400, 8 * 2**20) for days in (40, 31, 29, 1)
    ]

    def due(days: int, mib: int) -> list[str]:
        return [f.path for f in journal.due(files, total_bytes=40 * 2**20, days=days, mib=mib, now=now)]

    assert due(0, 0) == []
    assert due(30, 0) == ["40", "31"]
    assert due(0, 17) == ["40", "31", "29"]
    assert due(30, 39) == ["40", "31"]
    assert due(0, 1) == ["40", "31", "29", "1"]


def test_the_journal_of_another_machine_is_named_and_not_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a copied host: journalctl removes nothing there, so that no plan may say so."""
    ours, other = "a" * 32, "b" * 32
    name = "system@" + "c" * 32 + f"-{1:016x}-{1_000_000:016x}.journal"
    for machine in (ours, other):
        (tmp_path / "journal" / machine).mkdir(parents=True)
        (tmp_path / "journal" / machine / name).write_bytes(b"1" * 4096)
    (tmp_path / "machine-id").write_text(f"{ours}\n")
    monkeypatch.setattr(journal, "MACHINE_ID", tmp_path / "machine-id")
    places = [tmp_path / "journal"]
    assert [Path(each.path).parent.name for each in journal.archived(places)] == [ours]
    (finding,) = journal.others(places)
    assert (finding.subject, finding.status) == (str(tmp_path / "journal" / other), Status.WARN)


def test_a_host_without_a_machine_id_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MACHINE_ID", tmp_path / "machine-id")
    with pytest.raises(CourtkeeperError, match=r"cannot be read .*: run systemd-machine-id-setup"):
        clean.clean([], [], journal_days=30, journal_mib=0, now=NOW, check=True)


@pytest.mark.parametrize(("days", "mib"), [(-1, 0), (0, -1), (10**9, 0)])
def test_odd_limits_of_the_journal_are_refused(days: int, mib: int) -> None:
    with pytest.raises(ConfigurationError, match="log_rotation_journal_"):
        clean.clean([], [], journal_days=days, journal_mib=mib, now=NOW, check=True)
