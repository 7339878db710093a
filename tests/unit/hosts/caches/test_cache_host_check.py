"""Each fault of a cache's host has its own finding with a remedy; a host without one has none."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.hosts import commands
from courtkeeper.hosts.caches import config, duty, host, persisted, settings, state
from support.cache_host import UNIT, CacheHost, bad

THP = "/sys/kernel/mm/transparent_hugepage/enabled"


@pytest.fixture
def cache(tmp_path: Path) -> CacheHost:
    return CacheHost(tmp_path)


def test_a_good_host_has_no_fault_and_is_not_touched(cache: CacheHost) -> None:
    before = cache.files()
    result = cache.run()
    assert bad(result) == {}
    assert (result.changed, result.actions, result.diff) == (False, [], {})
    assert cache.files() == before
    assert not cache.notes.exists()


FAULTS: list[tuple[str, dict[str, Any], tuple[str, str], str]] = [
    ("pages", {"kernel": {"transparent_huge_pages": "[always] madvise never"}},
     ("transparent_huge_pages", THP), "redis_host_change: [transparent_huge_pages]"),
    ("overcommit", {"kernel": {"overcommit_memory": "0"}},
     ("overcommit_memory", "vm.overcommit_memory"), "redis_host_change: [overcommit_memory]"),
    ("strict", {"kernel": {"overcommit_memory": "2"}},
     ("overcommit_memory", "vm.overcommit_memory"), "redis_host_change: [overcommit_memory]"),
    ("queue", {"kernel": {"somaxconn": "128"}},
     ("somaxconn", "net.core.somaxconn"), "redis_host_change: [somaxconn]"),
    ("backlog", {"write": {"/etc/redis/redis.conf": "tcp-backlog 5000\n"}},
     ("somaxconn", "net.core.somaxconn"), "redis_host_change: [somaxconn]"),
    ("included", {"write": {"/etc/redis/redis.conf": "include /etc/redis/conf.d/*.conf\n",
                            "/etc/redis/conf.d/a.conf": "TCP-Backlog '9000'\n"}},
     ("somaxconn", "net.core.somaxconn"), "redis_host_change: [somaxconn]"),
    ("limit", {"systemd": {"limit": 1024}}, ("open_files", UNIT), "redis_host_change: [open_files]"),
    ("clients", {"write": {"/etc/redis/redis.conf": "maxclients 70000\n"}},
     ("open_files", UNIT), "redis_host_change: [open_files]"),
    ("old limit", {"process": {"files": 4096, "huge_pages": True}},
     ("restart", f"{UNIT} open files"), f"systemctl restart {UNIT}"),
    ("old queue", {"systemd": {"queue": 128}},
     ("restart", f"{UNIT} tcp-backlog"), f"systemctl restart {UNIT}"),
    ("stopped", {"systemd": {"pid": 0}}, ("running", UNIT), f"systemctl start {UNIT}"),
    ("clock", {"write": {f"{host.CLOCK}/current_clocksource": "xen\n"}},
     ("clocksource", "clocksource"), "clocksource=tsc"),
    ("until the reboot", {"write": {"/etc/sysctl.d/50-mine.conf": "# vm.overcommit_memory = 1\n"}},
     ("after_reboot", "vm.overcommit_memory"), "redis_host_change: [overcommit_memory]"),
    ("overridden", {"write": {"/etc/sysctl.d/99-sysctl.conf": "x=1\n-vm/overcommit_memory=0\n"}},
     ("after_reboot", "vm.overcommit_memory"), "/etc/sysctl.d/99-sysctl.conf:2"),
    ("boot", {"write": {"/proc/cmdline": "quiet transparent_hugepage=always\n"}},
     ("after_reboot", THP), "redis_host_change: [transparent_huge_pages]"),
    ("boot file", {"write": {"/etc/tmpfiles.d/a.conf": f"w {THP} - - - - always\n"}},
     ("after_reboot", THP), "mend /etc/tmpfiles.d/a.conf:1"),
    ("earlier file", {"write": {"/etc/sysctl.d/50-mine.conf": "vm.overcommit_memory=2\n"}},
     ("after_reboot", "vm.overcommit_memory"), "redis_host_change: [overcommit_memory]"),
]  # fmt: skip


@pytest.mark.parametrize(("how", "found", "fix"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_fault_has_its_own_finding(
    cache: CacheHost, how: dict[str, Any], found: tuple[str, str], fix: str
) -> None:
    cache.kernel(**how.get("kernel", {}))
    for path, text in how.get("write", {}).items():
        cache.write(path, text)
    for name, value in how.get("systemd", {}).items():
        setattr(cache.systemd, name, value)
    if "process" in how:
        cache.process(**how["process"])
    result = cache.run()
    assert bad(result) == dict([found])
    (finding,) = [f for f in result.findings if f.status is not Status.OK]
    assert fix in finding.fix
    assert finding.summary.endswith(".")
    assert result.changed is False


def test_huge_pages_are_no_fault_of_a_server_that_opted_out(cache: CacheHost) -> None:
    cache.kernel(transparent_huge_pages="[always] madvise never")
    cache.process(files=65535, huge_pages=False)
    result = cache.run()
    assert bad(result) == {}
    (pages,) = [f for f in result.findings if f.subject == THP]
    assert "opted out" in pages.summary


def test_a_kernel_without_huge_pages_and_one_that_shows_nothing(cache: CacheHost) -> None:
    cache.path(THP).unlink()
    cache.path("/proc/sys/vm/overcommit_memory").unlink()
    result = cache.run()
    assert bad(result) == {"overcommit_memory": "vm.overcommit_memory"}
    assert {f.status for f in result.findings} == {Status.OK, Status.UNKNOWN}


def test_a_host_without_ss_says_so(cache: CacheHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise commands.CommandError("ss is not installed on this host.")

    monkeypatch.setattr(cache.systemd, "listening", missing)
    (finding,) = [f for f in cache.run().findings if f.status is not Status.OK]
    assert (finding.status, finding.fix) == (Status.UNKNOWN, "install iproute2")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"servers": []}, "redis_host_servers is empty"),
        ({"servers": [{"service": "a b"}]}, r"redis_host_servers\[0\].service is no name of a unit"),
        ({"servers": [{"service": "valkey-server"}]}, "names valkey-server, and this host has no such"),
        ({"servers": [{"config_file": "redis.conf"}]}, "has to be an absolute path"),
        ({"servers": [{"config_file": "/etc/none.conf"}]}, "names /etc/none.conf, which cannot be read"),
        ({"servers": [{}, {}]}, "names redis-server twice"),
        ({"servers": [{"port": 1}]}, "redis_host_servers"),
        ({"change": ["swappiness"]}, "redis_host_change holds swappiness: it can hold transparent_huge"),
        ({"undo": [""]}, "redis_host_undo holds"),
        ({"change": ["somaxconn"], "undo": ["somaxconn"]}, "both hold somaxconn"),
        ({"transparent_huge_pages": "always"}, "has to be madvise or never"),
        ({"overcommit_memory": 3}, "redis_host_overcommit_memory is 3"),
        ({"open_files": -1}, "redis_host_open_files is -1"),
        ({"open_files": "many"}, "redis_host_open_files cannot be"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(
    cache: CacheHost, given: dict[str, Any], sentence: str
) -> None:
    before = cache.files()
    with pytest.raises(ConfigurationError, match=sentence):
        cache.run(**{"change": ["overcommit_memory"], **given})
    assert cache.files() == before


def test_a_host_is_changed_by_root_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    wanted = settings.wanted_from({"servers": [{}], "change": ["somaxconn"]})
    with pytest.raises(ConfigurationError, match="needs root: say redis_host_become"):
        duty.run(wanted, check=True)


@given(st.text())
@example("include x\n" * 3)
@example("tcp-backlog " + "9" * 400)
@example('maxclients "\n')
def test_any_configuration_is_read(text: str) -> None:
    read = config.parse(text, include=lambda _pattern: [text])
    assert 0 < read.backlog < 10**9
    assert read.files > config.RESERVED_FILES


@given(st.text())
def test_anything_that_systemd_and_ss_say_is_read(text: str) -> None:
    host.parse_unit(text)
    host.parse_unit(f"Id=a.service\nLoadState=loaded\nLimitNOFILE={text}\nMainPID={text}\n")
    host.queues(text)
    host.queues(f"LISTEN 0 {text} x pid={text}, ")


def test_what_they_really_say_is_understood() -> None:
    shown = (
        "Id=redis-server.service\nLoadState=loaded\nLimitNOFILE=infinity\nMainPID=7\nNeedDaemonReload=yes\n"
    )
    assert host.parse_unit(shown) == host.Unit("redis-server.service", host.ENDLESS, 7, stale=True)
    assert host.parse_unit("Id=x.service\nLoadState=not-found\nLimitNOFILE=524288\nMainPID=0\n") is None
    said = (
        'LISTEN 0      511    127.0.0.1:6379 0.0.0.0:* users:(("redis-server",pid=7,fd=6)) \n'
        'LISTEN 0      128        [::1]:6379    [::]:* users:(("redis-server",pid=7,fd=7))\n'
        "LISTEN 0      4096     0.0.0.0:22   0.0.0.0:*\n"
    )
    assert host.queues(said) == {7: 128}


@given(st.binary())
def test_any_file_at_boot_is_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    root = tmp_path_factory.mktemp("root")
    for kind in ("sysctl.d", "tmpfiles.d"):
        (root / "etc" / kind).mkdir(parents=True)
        (root / "etc" / kind / "a.conf").write_bytes(data)
    (root / "proc").mkdir()
    (root / "proc/cmdline").write_bytes(data)
    persisted.sysctl(root, "vm.overcommit_memory", "0")
    persisted.written_at_boot(root, THP)
    persisted.on_command_line(root, "transparent_hugepage")


def test_files_of_a_boot_hide_and_follow_each_other(cache: CacheHost) -> None:
    cache.write("/usr/lib/sysctl.d/50-mine.conf", "vm.overcommit_memory=2\n")  # hidden by /etc
    cache.write("/usr/lib/sysctl.d/10-base.conf", "vm.overcommit_memory=2\n")  # before it
    assert persisted.sysctl(cache.root, "vm.overcommit_memory", "0").value == "1"
    cache.write("/etc/tmpfiles.d/b.conf", f"w! {THP} - - - - never\n")
    cache.write("/usr/lib/tmpfiles.d/a.conf", f"# w {THP} - - - - always\nw {THP} - - - - madvise\n")
    booted = persisted.written_at_boot(cache.root, THP)
    assert booted == persisted.Booted("madvise", "/usr/lib/tmpfiles.d/a.conf:2")


@given(st.binary())
@example(b'{"kernel":{"somaxconn":{"before":1}}}')
def test_damaged_notes_are_for_a_person(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    notes = tmp_path_factory.mktemp("notes")
    (notes / "state.json").write_bytes(data)
    with suppress(CourtkeeperError):
        state.read(notes)
