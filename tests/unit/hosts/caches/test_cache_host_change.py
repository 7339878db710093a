"""A host is changed only as told, over a reboot, with a way back; what does not hold is taken back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.hosts.caches import state
from courtkeeper.hosts.caches.host import PATHS
from courtkeeper.hosts.caches.plan import DROPIN, HEADER, SYSCTL, TMPFILES
from courtkeeper.hosts.caches.settings import CHANGEABLE
from support.cache_host import UNIT, CacheHost, bad
from support.killed import killed_at

EVERYTHING = list(CHANGEABLE)
DROP_IN = DROPIN.format(unit=UNIT)


@pytest.fixture
def cache(tmp_path: Path) -> CacheHost:
    """A host with everything wrong."""
    found = CacheHost(tmp_path)
    found.make_ill()
    return found


def test_only_what_is_told_is_changed(cache: CacheHost) -> None:
    before = cache.files()
    done = cache.run(change=["overcommit_memory"])
    assert done.actions == [f"write {SYSCTL}", "set vm.overcommit_memory from 0 to 1"]
    changed = {path: text for path, text in cache.files().items() if before.get(path) != text}
    assert changed == {SYSCTL: f"{HEADER}vm.overcommit_memory = 1\n", PATHS["overcommit_memory"]: "1\n"}
    assert bad(done).keys() == {"transparent_huge_pages", "somaxconn", "open_files"}


def test_everything_is_changed_once_over_a_reboot_and_taken_back(cache: CacheHost) -> None:
    before = cache.files()
    planned = cache.run(check=True, change=EVERYTHING)
    assert cache.files() == before
    assert not cache.notes.exists()
    done = cache.run(change=EVERYTHING)
    assert done.changed
    assert done.actions == planned.actions
    assert len(done.actions) == 6
    assert done.diff == planned.diff
    assert "vm.overcommit_memory = 0\n" in done.diff["before"]
    assert f"# {DROP_IN}\n{HEADER}[Service]\nLimitNOFILE=10032\n" in done.diff["after"]
    assert bad(done) == {}
    after = cache.files()
    assert after[TMPFILES] == f"{HEADER}w {PATHS['transparent_huge_pages']} - - - - madvise\n"
    assert after[SYSCTL] == f"{HEADER}net.core.somaxconn = 511\nvm.overcommit_memory = 1\n"
    for finding in (f for f in done.findings if f.applied):
        name = finding.id.rpartition(".")[2]
        assert finding.undo == f"redis_host_undo: [{name}]"
    assert len([f for f in done.findings if f.applied]) == 4

    again = cache.run(change=EVERYTHING)
    assert (again.changed, again.actions, again.diff) == (False, [], {})
    assert cache.files() == after

    cache.run(undo=EVERYTHING, check=True)
    assert cache.files() == after
    back = cache.run(undo=EVERYTHING)
    assert back.changed
    restored = {**before, PATHS["transparent_huge_pages"]: "always\n"}  # the kernel would show it in brackets
    assert cache.files() == restored
    assert not cache.path(DROP_IN).parent.exists()
    assert cache.systemd.now() == 1024
    assert cache.run(undo=EVERYTHING).changed is False
    assert cache.files() == restored


def test_a_part_is_taken_back_and_the_rest_stays(cache: CacheHost) -> None:
    cache.run(change=EVERYTHING)
    back = cache.run(undo=["overcommit_memory"])
    assert back.actions == [f"write {SYSCTL}", "set vm.overcommit_memory from 1 to 0"]
    assert cache.files()[SYSCTL] == f"{HEADER}net.core.somaxconn = 511\n"
    assert cache.systemd.now() == 10032


def test_what_is_right_now_is_kept_over_a_reboot(cache: CacheHost) -> None:
    cache.kernel(overcommit_memory="1")
    assert bad(cache.run(change=["open_files"]))["after_reboot"] == "vm.overcommit_memory"
    done = cache.run(change=["overcommit_memory"])
    assert done.actions == [f"write {SYSCTL}"]
    assert "after_reboot" not in bad(done)


def test_what_somebody_else_keeps_is_left_to_him(cache: CacheHost) -> None:
    cache.kernel(overcommit_memory="1")
    cache.write("/etc/sysctl.d/99-mine.conf", "vm.overcommit_memory=1\n")
    assert cache.run(change=["overcommit_memory"]).changed is False


def test_a_file_that_comes_after_ours_is_named(cache: CacheHost) -> None:
    cache.write("/etc/sysctl.d/99-mine.conf", "vm.overcommit_memory=0\n")
    done = cache.run(change=["overcommit_memory"])
    (finding,) = [f for f in done.findings if f.id == "redis.host.after_reboot"]
    assert "/etc/sysctl.d/99-mine.conf:1" in finding.fix
    assert cache.run(change=["overcommit_memory"]).changed is False


def test_what_was_changed_since_is_not_put_back(cache: CacheHost) -> None:
    cache.run(change=["overcommit_memory"])
    cache.kernel(overcommit_memory="2")
    back = cache.run(undo=["overcommit_memory"])
    (left,) = [f for f in back.findings if f.id == "redis.host.left"]
    assert left.status is Status.SKIPPED
    assert "it is 2, and we had set 1" in left.summary
    assert cache.files()[PATHS["overcommit_memory"]] == "2\n"
    assert SYSCTL not in cache.files()


def test_a_longer_queue_stays_and_a_new_one_grows(cache: CacheHost) -> None:
    cache.kernel(somaxconn="1000")
    assert cache.run(change=["somaxconn"]).changed is True  # kept over a reboot, as it is
    assert cache.files()[PATHS["somaxconn"]] == "1000\n"
    cache.write("/etc/redis/redis.conf", "tcp-backlog 2048\n")
    cache.systemd.queue = 2048
    cache.run(change=["somaxconn"])
    assert cache.files()[PATHS["somaxconn"]] == "2048\n"
    cache.run(undo=["somaxconn"])
    assert cache.files()[PATHS["somaxconn"]] == "1000\n"


def test_an_own_limit_of_files_is_given(cache: CacheHost) -> None:
    cache.run(change=["open_files"], open_files=65535)
    assert cache.systemd.now() == 65535


def test_a_container_is_left_as_it_is_and_says_so(cache: CacheHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc/sys is mounted there; the scenario sees it on real ones."""
    monkeypatch.setattr(cache.host, "writable", lambda _name: False)
    before = cache.files()
    planned = cache.run(check=True, change=EVERYTHING)
    done = cache.run(change=EVERYTHING)
    assert done.actions == planned.actions == [f"write {DROP_IN}"]
    assert {path for path, text in cache.files().items() if before.get(path) != text} == {DROP_IN}
    for result in (planned, done):
        (finding,) = [f for f in result.findings if f.id == "redis.host.unchangeable"]
        assert finding.status is Status.SKIPPED
        assert finding.summary.count(". ") == 0
    (memory,) = [f for f in done.findings if f.subject == "vm.overcommit_memory"]
    assert memory.status is Status.WARN
    assert "on that machine" in memory.fix
    assert cache.run(change=EVERYTHING).changed is False


class Refusing:
    """A kernel that takes some writes and refuses, or swallows, those of one setting."""

    def __init__(self, cache: CacheHost, name: str, error: OSError | None) -> None:
        put = cache.host.put

        def refusing(setting: str, value: str) -> None:
            if setting != name:
                put(setting, value)
            elif error:
                raise error

        cache.host.put = refusing  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(30, "Read-only file system"),
            r"could not set net.core.somaxconn .*\(Read-only file system\)",
        ),
        (None, "net.core.somaxconn was set to 511 and is 128"),
    ],
)
def test_a_change_that_does_not_hold_takes_the_others_back(
    cache: CacheHost, error: OSError | None, sentence: str
) -> None:
    before = cache.files()
    Refusing(cache, "somaxconn", error)
    with pytest.raises(CourtkeeperError, match=f"{sentence}.*; all of it was taken back"):
        cache.run(change=EVERYTHING)
    assert cache.files() == {**before, PATHS["transparent_huge_pages"]: "always\n"}
    assert state.read(cache.notes) == state.State()
    assert cache.systemd.now() == 1024


def test_a_drop_in_that_comes_later_is_found_out(cache: CacheHost) -> None:
    later = Path(DROP_IN).with_name("99-mine.conf")
    cache.write(str(later), "LimitNOFILE=900\n")
    with pytest.raises(CourtkeeperError, match="has a limit of 900 files in spite of our 10032: another"):
        cache.run(change=["open_files"])
    assert DROP_IN not in cache.files()
    assert str(later) in cache.files()


def test_a_file_of_somebody_elses_is_not_written_over(cache: CacheHost) -> None:
    cache.write(SYSCTL, "kernel.panic = 10\n")
    before = cache.files()
    with pytest.raises(ConfigurationError, match="is not ours and has the name that redis_host needs"):
        cache.run(change=EVERYTHING)
    assert cache.files() == before


def test_lost_notes_do_not_lose_the_files(cache: CacheHost) -> None:
    cache.run(change=EVERYTHING)
    after = cache.files()
    (cache.notes / "state.json").unlink()
    assert cache.run(change=EVERYTHING).changed is False
    assert cache.files() == after
    (cache.notes / "state.json").unlink()
    cache.run(change=["overcommit_memory"])
    cache.run(undo=["open_files"])
    assert DROP_IN not in cache.files()


def test_one_run_at_a_time(cache: CacheHost) -> None:
    with (
        state.alone(cache.notes),
        pytest.raises(CourtkeeperError, match="another run of redis_host is at work"),
    ):
        cache.run(change=["somaxconn"])


@pytest.mark.parametrize("back", [False, True], ids=["finished", "taken back"])
@pytest.mark.parametrize("killed", ["change", "undo"])
def test_a_run_that_was_killed_at_any_point(tmp_path: Path, killed: str, back: bool) -> None:
    for number in range(1, 100):
        cache = CacheHost(tmp_path / str(number))
        cache.make_ill()
        if killed == "undo":
            cache.run(change=EVERYTHING)
        if not killed_at(number, partial(cache.run, **{killed: EVERYTHING})):
            break
        wanted = {"undo" if back else "change": EVERYTHING}
        cache.run(**wanted)
        left = cache.run(**wanted)
        assert left.changed is False
        assert (bad(left).keys() == set(EVERYTHING)) is back
        assert bool(bad(left)) is back
        assert cache.systemd.now() == (1024 if back else 10032)
        if back:
            assert not {SYSCTL, TMPFILES, DROP_IN} & cache.files().keys()
            assert cache.files()[PATHS["overcommit_memory"]] == "0\n"
    assert number > 10


def test_a_write_follows_no_link(cache: CacheHost) -> None:
    other = cache.path("/etc/other")
    other.write_text("x")
    cache.path(SYSCTL).parent.mkdir(parents=True, exist_ok=True)
    cache.path(SYSCTL).symlink_to(other)
    with pytest.raises(ConfigurationError, match="not ours"):
        cache.run(change=["overcommit_memory"])
    assert other.read_text() == "x"
