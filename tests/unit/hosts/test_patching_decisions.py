"""What is chosen, foreseen, refused and ordered: the decisions, without a host."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.hosts.commands import CommandError
from courtkeeper.hosts.patching import apt, checks, choice, gate, impact, order, parse, state
from courtkeeper.hosts.patching.model import Change, Health, Installed, Journal, Plan, Saved, Settings

SUNDAY = datetime(2026, 3, 1, tzinfo=UTC)
MAIN, FIXES, OWN = "main", "fixes", "own"


def known(policies: dict[str, parse.Policy], *, held: set[str] | None = None) -> choice.Known:
    return choice.Known(
        {name: Installed(name=name, version=p.installed, state="ii ") for name, p in policies.items()},
        held or set(),
        {"lib"},
        policies,
        {
            MAIN: parse.Release("Debian", "Debian", "stable"),
            FIXES: parse.Release("Debian", "Debian-Security", "stable-security"),
            OWN: parse.Release("Us", "Ours", "fixes"),
        },
    )


def policy(*versions: tuple[str, str], installed: str = "1") -> parse.Policy:
    return parse.Policy(installed, versions[0][0], {version: [source] for version, source in versions})


HOST = known(
    {
        "web": policy(("2", FIXES), ("1", MAIN)),
        "lib": policy(("2", MAIN), ("1", MAIN)),
        "passed": policy(("3", MAIN), ("2", FIXES), ("1", MAIN)),
        "pinned": parse.Policy("2", "1", {"2": [MAIN], "1": [MAIN]}),
        "same": policy(("1", MAIN)),
    }
)


@pytest.fixture
def apt_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """An apt that can install everything it is asked for."""

    def simulate(wanted: list[str], *, backwards: bool = False) -> parse.Simulated:
        return parse.Simulated(dict(pair.split("=") for pair in wanted), [])

    monkeypatch.setattr(apt, "simulate", simulate)


def test_a_fix_that_an_upgrade_passes_on_its_way_counts_as_security() -> None:
    assert [name for name in HOST.policies if HOST.is_security(name, [])] == ["web", "passed"]


def test_ones_own_repository_can_be_one_for_security() -> None:
    host = known({"ours": policy(("2", OWN), ("1", MAIN))})
    assert not host.is_security("ours", [])
    assert host.is_security("ours", ["Ours:*"])


@pytest.mark.usefixtures("apt_agrees")
def test_security_only_leaves_the_rest_and_never_goes_down() -> None:
    chosen = choice.choose(HOST, Settings(packages="security"), {})
    assert [(c.name, c.target) for c in chosen.changes] == [("passed", "3"), ("web", "2")]
    everything = choice.choose(HOST, Settings(), {})
    assert [c.name for c in everything.changes] == ["lib", "passed", "web"]
    assert [c.automatic for c in everything.changes] == [True, False, False]


@pytest.mark.usefixtures("apt_agrees")
def test_held_and_excluded_packages_stay_and_are_told_of() -> None:
    host = known(HOST.policies, held={"web"})
    chosen = choice.choose(host, Settings(exclude=["l?b"]), {"passed": "it would restart db.service"})
    assert chosen.changes == []
    assert {(f.id, f.subject, f.status) for f in chosen.findings} == {
        ("patching.held", "web", Status.WARN),
        ("patching.left_out", "lib", Status.SKIPPED),
        ("patching.left_out", "passed", Status.WARN),
    }


def test_what_would_remove_or_needs_a_forbidden_package_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(wanted: list[str], *, backwards: bool = False) -> parse.Simulated:
        names = {pair.split("=")[0] for pair in wanted}
        more = {"same": "9"} if "passed" in names else {}
        installs = {**dict(pair.split("=") for pair in wanted), **more}
        return parse.Simulated(installs, ["database"] if "web" in names else [])

    monkeypatch.setattr(apt, "simulate", simulate)
    chosen = choice.choose(HOST, Settings(), {"same": "somebody needs it as it is"})
    assert [c.name for c in chosen.changes] == ["lib"]
    reasons = {f.subject: f.summary for f in chosen.findings}
    assert "it would remove database" in reasons["web"]
    assert "it needs same, and somebody needs it as it is" in reasons["passed"]


def test_where_apt_can_upgrade_nothing_it_is_not_said_that_nothing_is_to_be_upgraded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def simulate(wanted: list[str], *, backwards: bool = False) -> parse.Simulated:
        raise CommandError("apt-get failed: Unmet dependencies.")

    monkeypatch.setattr(apt, "simulate", simulate)
    monkeypatch.setattr(apt, "broken", lambda: "vendor : Depends: libgone but it is not installable")
    with pytest.raises(CourtkeeperError, match="can upgrade nothing on this host: vendor : Depends"):
        choice.choose(HOST, Settings(), {})


def test_an_upgrade_hits_whose_unit_it_ships_and_who_runs_its_files() -> None:
    seen = [
        impact.Process("pg@15-main.service", frozenset({"/usr/lib/libssl.so"}), frozenset()),
        impact.Process("cron.service", frozenset({"/usr/sbin/cron"}), frozenset()),
    ]
    running = ["pg@15-main.service", "web@a.service", "cron.service"]
    files = {"libssl": {"/usr/lib/libssl.so"}, "web": {"/usr/lib/systemd/system/web@.service"}}
    hits, shipped = impact.hits(files, running, seen)
    assert hits == {"pg@15-main.service": ["libssl"], "web@a.service": ["web"]}
    assert shipped == {"web@a.service"}


def test_a_pattern_fits_with_and_without_the_suffix() -> None:
    assert impact.matches("postgresql@15-main.service", ["postgresql@*"])
    assert impact.matches("redis-server.service", ["redis-server.service"])
    assert not impact.matches("redis-exporter.service", ["redis-server*"])


@pytest.mark.parametrize(
    ("text", "when", "good"),
    [
        ("Sun 02:00-06:00", timedelta(hours=2), True),
        ("Sun 02:00-06:00", timedelta(hours=6), False),
        ("Sat,Sun 22:00-04:00", timedelta(hours=3), True),
        ("Sun 22:00-04:00", timedelta(hours=3), False),
        ("Sun 22:00-04:00", timedelta(days=1, hours=3), True),
        ("Fri-Mon 00:00-24:00", timedelta(hours=23, minutes=59), True),
        ("02:00-03:00", timedelta(days=3, hours=2, minutes=59), True),
        ("", timedelta(), True),
    ],
)
def test_a_window_is_open_when_it_says(text: str, when: timedelta, good: bool) -> None:
    assert (checks.judge_window(text, "Etc/UTC", SUNDAY + when).status is Status.OK) is good


def test_a_window_holds_in_its_own_time_zone() -> None:
    late = datetime(2026, 3, 1, 3, 30, tzinfo=UTC)  # Saturday evening in New York
    assert checks.judge_window("Sat 22:00-23:00", "America/New_York", late).status is Status.OK


@pytest.mark.parametrize("text", ["Sunday 2-6", "Sun 02:00-02:00", "Sun 25:00-26:00", "Sxn 02:00-03:00", "x"])
def test_a_window_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="os_patching_window is"):
        checks.judge_window(text, "Etc/UTC", SUNDAY)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "\0"])
def test_a_time_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(ConfigurationError, match="os_patching_time_zone is"):
        checks.judge_window("", zone, SUNDAY)


@pytest.mark.parametrize(
    ("size_mib", "free_mib", "need_mib", "good"),
    [(2000, 300, 90, True), (2000, 300, 110, False), (900_000, 1100, 50, True), (900_000, 1100, 100, False)],
)
def test_the_lesser_floor_has_to_stay_free(size_mib: int, free_mib: int, need_mib: int, good: bool) -> None:
    place = checks.Place("/var", size_mib * checks.MIB, free_mib * checks.MIB, need_mib * checks.MIB)
    assert (checks.judge_space(place, 10, 1024).status is Status.OK) is good


def test_directories_of_one_file_system_are_summed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    found = checks.places({str(tmp_path): 5, str(tmp_path / "a"): 7, str(tmp_path / "missing"): 9})
    assert [place.need for place in found] == [12]


def test_a_backup_from_the_future_is_not_fresh(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    stamp = SUNDAY.timestamp()
    for age_h, good in ((1, True), (26, True), (27, False), (-5, False)):
        os.utime(marker, (stamp, stamp - age_h * 3600))
        assert (checks.judge_backup(str(marker), 26, SUNDAY).status is Status.OK) is good
    assert checks.judge_backup(str(tmp_path / "none"), 26, SUNDAY).status is Status.CRIT


def test_a_lock_is_waited_for_and_its_holder_named(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    checks.wait_for_locks(0, [str(lock)])
    lock.touch()
    checks.wait_for_locks(0, [str(lock)])
    program = (
        "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.lockf(f,fcntl.LOCK_EX); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(CourtkeeperError, match=rf"\(process {other.pid}\) has held {lock} for over 0 s"):
            checks.wait_for_locks(0, [str(lock)])
        other.communicate(b"\n")
    with lock.open("a") as ours:
        fcntl.lockf(ours, fcntl.LOCK_EX)


GROUPS = {"replicas": ["c", "a", "d"], "primaries": ["b", "d"], "all": ["a", "b", "c", "d", "e"]}


@pytest.mark.parametrize(
    ("groups", "serial", "batches"),
    [
        (["replicas", "primaries"], 1, [["a"], ["c"], ["d"], ["b"], ["e"]]),
        (["replicas", "primaries", "all"], 2, [["a", "c"], ["d"], ["b"], ["e"]]),
        (["all"], "50%", [["a", "b"], ["c", "d"], ["e"]]),
        ([], "10%", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        (["primaries"], "7", [["b", "d"], ["a", "c", "e"]]),
    ],
)
def test_batches_follow_the_groups_and_never_mix_them(
    groups: list[str], serial: object, batches: list[list[str]]
) -> None:
    found = order.batches(GROUPS, ["a", "b", "c", "d", "e"], groups, serial)
    assert found == batches
    told = order.described(found)
    assert told["after"][batches[0][0]] == [host for batch in batches[1:] for host in batch]
    assert sum(told["serial"]) == 5


@pytest.mark.parametrize("serial", [0, "0", "-1", "x", "1.5", True, None, "٣", "0%"])
def test_a_serial_that_is_none_is_refused(serial: object) -> None:
    with pytest.raises(ConfigurationError, match="os_patching_serial is"):
        order.batches(GROUPS, ["a"], ["all"], serial)


def test_a_group_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="names replicsa, and the inventory has no such group"):
        order.batches(GROUPS, ["a"], ["replicsa"], 1)


@given(st.lists(st.sampled_from("abcde"), unique=True), st.integers(1, 9))
def test_every_host_is_patched_once(hosts: list[str], serial: int) -> None:
    found = order.batches(GROUPS, hosts, ["primaries", "replicas"], serial)
    assert sorted(host for batch in found for host in batch) == sorted(hosts)


def test_a_journal_that_cannot_be_read_is_an_error_and_not_none(tmp_path: Path) -> None:
    kept = state.State(str(tmp_path / "patching"), "amd64")
    kept.make()
    assert kept.journal() is None
    journal = Journal(run="r", phase="upgrading", plan=Plan(), active=["a.service"], boot="b")
    kept.note(journal)
    assert kept.journal() == journal
    path = kept.directory / "journal.json"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(path.read_bytes()[:-9] + b"\xff")
    with pytest.raises(CourtkeeperError, match="cannot be read"):
        kept.journal()
    kept.close()
    assert kept.journal() is None


def test_only_the_last_lists_stay(tmp_path: Path) -> None:
    kept = state.State(str(tmp_path), "amd64")
    kept.make()
    saved = Saved(taken="x", packages=[], held=[], automatic=[])
    for run in ("1", "2", "3"):
        kept.save(run, saved, 2)
    assert [path.name for path in sorted(kept.lists.iterdir())] == ["2.json", "3.json"]


def test_archives_of_other_packages_are_kept_while_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "CACHE", tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    kept = state.State(str(tmp_path / "own"), "amd64")
    kept.make()
    for name in ("web_1%3a1_all.deb", "other_1_amd64.deb", "old_1_all.deb"):
        (kept.archives / name).touch()
    for name in ("web_1%3a2_all.deb", "big_1_all.deb"):
        (state.CACHE / name).touch()
    kept.keep_archives([("web", "1:1"), ("web", "1:2")], [("web", "1:2"), ("other", "1"), ("big", "1")])
    there = sorted(path.name for path in kept.archives.iterdir())
    assert there == ["other_1_amd64.deb", "web_1%3a1_all.deb", "web_1%3a2_all.deb"]


def test_actions_name_every_step_in_order() -> None:
    plan = Plan(
        changes=[
            Change(name="web", current="1", target="2", security=True),
            Change(name="new", current="", target="3"),
        ],
        configure=True,
        resume="20260301T020000Z",
        restarts=["web.service"],
        reboot_reason="asked for by web",
        reboot="if_required",
    )
    assert plan.actions() == [
        "Finish the run of 20260301T020000Z that was interrupted",
        "Finish the configuration of packages that was interrupted",
        "Upgrade web 1 to 2 (security)",
        "Install new 3 (a new dependency)",
        "Restart web.service",
        "Reboot the host",
    ]


class Host:
    """A host whose services do what `life` says, one entry for each look at them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, life: list[impact.Unit]) -> None:
        self.life = life
        self.clock = 0.0
        monkeypatch.setattr(impact, "units", lambda names: dict.fromkeys(names, self.look()))
        monkeypatch.setattr(gate.time, "monotonic", lambda: self.clock)
        monkeypatch.setattr(gate.time, "sleep", self.sleep)

    def look(self) -> impact.Unit:
        return self.life.pop(0) if len(self.life) > 1 else self.life[0]

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


def unit(active: str, invocation: int) -> impact.Unit:
    return impact.Unit(active, "running", str(invocation), "0")


HEALTH = Health(timeout_s=10, settle_s=2)


def test_the_gate_waits_for_a_service_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch, [unit("activating", 1)] * 6 + [unit("active", 1)])
    assert gate.wait(["web.service"], HEALTH) == []
    assert 4 < host.clock < 7


def test_the_gate_does_not_trust_a_service_that_dies_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, [unit("active", number) for number in range(100)])
    assert gate.wait(["web.service"], HEALTH) != []


def test_the_gate_says_which_service_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    Host(monkeypatch, [unit("failed", 1)])
    assert gate.wait(["web.service"], HEALTH) == ["web.service is failed"]
