"""What a run says and leaves behind where it ends badly, without a host."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from courtkeeper.findings import CourtkeeperError, Result, Status
from courtkeeper.hosts import services
from courtkeeper.hosts.commands import CommandError
from courtkeeper.hosts.patching import (
    apply,
    apt,
    checks,
    gate,
    impact,
    needrestart,
    parse,
    plan,
    reboot,
    rollback,
    state,
)
from courtkeeper.hosts.patching.model import Change, Health, Installed, Journal, Plan, Settings

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "hunter2"
KERNEL = "linux-image-6.1.0-25-amd64"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> state.State:
    """The state of a host on which no package changes."""
    monkeypatch.setattr(apt, "architecture", lambda: "amd64")
    monkeypatch.setattr(apt, "installed", lambda _native: {})
    monkeypatch.setattr(apt, "audit", list)
    monkeypatch.setattr(checks, "LOCKS", ())
    monkeypatch.setattr(checks, "wait_for_locks", lambda _timeout_s: None)
    monkeypatch.setattr(impact, "expected", lambda: ["web.service"])
    monkeypatch.setattr(impact, "units", lambda _names: {})
    monkeypatch.setattr(impact, "running", list)
    monkeypatch.setattr(impact, "processes", list)
    monkeypatch.setattr(reboot, "reason", str)
    monkeypatch.setattr(needrestart, "TOOL", tmp_path / "none")
    monkeypatch.setattr(apply, "go_back", lambda *_: (["Downgrade web 2 to 1"], {}))
    found = state.State(str(tmp_path / "patching"), "amd64")
    found.make()
    return found


def run(kept: state.State, resume: str = "", **told: Any) -> Result:
    request = msgspec.to_builtins(Plan(state_directory=str(kept.directory), resume=resume, **told))
    return apply.apply_plan(request, {}, keep=3, now=NOW, check=False)


def gates(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[list[str]]:
    """Let the gate give `answers`, one after the other; return what it was asked for."""
    asked: list[list[str]] = []
    left = list(answers)

    def wait(expected: list[str], health: Health) -> list[str]:
        asked.append(expected)
        return left.pop(0)

    monkeypatch.setattr(gate, "wait", wait)
    return asked


def test_a_host_that_is_ill_after_going_back_stays_so_until_its_services_run(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = ["web.service is failed"]
    asked = gates(monkeypatch, dead, dead, dead, [])
    with pytest.raises(
        CourtkeeperError, match=r"failed after the restarts: web\.service is failed\. Went"
    ) as first:
        run(kept)
    assert first.value.partial
    assert first.value.partial.details["healthy"] is False
    # The service is dead now, so that a new run would not count it among those that have to run.
    monkeypatch.setattr(impact, "expected", list)
    with pytest.raises(CourtkeeperError, match="still ill since the run of 20260301T000000Z") as second:
        run(kept, resume="20260301T000000Z")
    assert second.value.partial
    assert second.value.partial.details["healthy"] is False
    assert run(kept, resume="20260301T000000Z").details["healthy"] is True
    assert kept.journal() is None
    assert asked == [["web.service"]] * 4


def test_a_run_that_went_back_and_is_well_leaves_no_journal(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates(monkeypatch, ["the URL says no"], [])
    with pytest.raises(CourtkeeperError, match="and everything is well again") as error:
        run(kept)
    assert error.value.partial
    assert error.value.partial.details["healthy"] is True
    assert kept.journal() is None


def test_an_upgrade_that_fails_is_not_called_a_gate_that_failed(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> list[str]:
        raise CourtkeeperError("No space left on device.")

    monkeypatch.setattr(impact, "running", full)
    gates(monkeypatch, [])
    with pytest.raises(CourtkeeperError, match=r"^The restarts failed: No space left on device\. Went back"):
        run(kept)


def test_who_changed_nothing_says_that_the_host_is_as_well_as_it_was(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CourtkeeperError, match="web is not installed and was 1") as error:
        run(kept, changes=[Change(name="web", current="1", target="2")])
    assert error.value.partial
    assert error.value.partial.details == {"healthy": True}
    assert not error.value.partial.changed


def test_a_run_that_lies_half_done_is_never_called_healthy(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.note(Journal(run="r", phase="upgrading", plan=Plan(), active=[], boot="b"))
    with pytest.raises(CourtkeeperError, match="was interrupted after this plan was made") as error:
        run(kept)
    assert error.value.partial
    assert error.value.partial.details == {"healthy": False}


UNITS = {
    "web.service": impact.Unit("active", "running", "", "", "enabled"),
    "pg@15-main.service": impact.Unit("active", "running", "", "", "enabled-runtime"),
    "logind.service": impact.Unit("active", "running", "", "", "enabled", "org.freedesktop.login1"),
    "hostnamed.service": impact.Unit("active", "running", "", "", "static", "org.freedesktop.hostname1"),
    "by-hand.service": impact.Unit("inactive", "dead", "", "", "disabled"),
    "udev.service": impact.Unit("active", "running", "", "", "static"),
}


def test_a_service_that_ends_by_itself_until_it_is_called_is_not_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(impact, "active", lambda: list(UNITS))
    monkeypatch.setattr(impact, "units", lambda _names: UNITS)
    assert impact.expected() == [name for name in UNITS if name != "hostnamed.service"]


def test_after_a_reboot_only_what_a_reboot_starts_is_expected(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.note(Journal(run="r", phase="rebooting", plan=Plan(), active=list(UNITS), boot="before"))
    monkeypatch.setattr(impact, "units", lambda _names: UNITS)
    asked = gates(monkeypatch, [])
    result = run(kept)
    assert asked == [["web.service", "pg@15-main.service", "logind.service"]]
    told = [f.subject for f in result.findings if f.id == "patching.not_enabled"]
    assert told == ["by-hand.service"]
    assert kept.journal() is None


def test_two_runs_never_work_on_a_host_at_once(kept: state.State, monkeypatch: pytest.MonkeyPatch) -> None:
    gates(monkeypatch, [], [])
    with kept.alone(), pytest.raises(CourtkeeperError, match="Another run of os_patching is at work"):
        run(kept)
    assert run(kept).details["healthy"] is True


def test_what_somebody_else_upgraded_since_is_not_brought_down(kept: state.State) -> None:
    def newer(left: str, right: str) -> bool:
        return int(left) > int(right)

    made = Plan(changes=[Change(name=name, current="2", target="3") for name in "abcde"])
    made.changes.append(Change(name="new", current="", target="1"))
    versions = {"a": "2", "b": "3", "c": "4", "d": "1"}
    assert state.remaining(made, versions, newer) == ["a=3", "d=3", "e=3", "new=1"]


class Answers(BaseHTTPRequestHandler):
    """A health page behind a token."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:PORT/health?token={SECRET}",
        f"http://127.0.0.1:1/health?token={SECRET}",
        f"http://user:{SECRET}@127.0.0.1:PORT/",
        f"http://user:{SECRET}@127.0.0.1/",
        f"{SECRET}",
        f"{SECRET}://x",
        f"http://127.0.0.1:PORT/a b?{SECRET}",
        f"http://{SECRET}",
        f"http://[{SECRET}/",
        f"file:///{SECRET}",
    ],
)
def test_what_is_said_of_the_health_url_holds_nothing_of_it(url: str, port: int) -> None:
    said = gate.problems_outside(Health(url=url.replace("PORT", str(port))))
    assert len(said) == 1
    assert said[0].startswith("os_patching_health_url answers ")
    assert SECRET not in said[0]


def test_the_archive_of_another_architecture_is_not_taken_for_the_hosts_own(
    kept: state.State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(state, "CACHE", tmp_path)
    (kept.archives / "libc6_2%3a1_i386.deb").touch()
    assert kept.archive("libc6", "2:1") is None
    (kept.archives / "libc6_2%3a1_amd64.deb").touch()
    (tmp_path / "tzdata_1_all.deb").touch()
    assert kept.archive("libc6", "2:1") == kept.archives / "libc6_2%3a1_amd64.deb"
    assert kept.archive("libc6:i386", "2:1") == kept.archives / "libc6_2%3a1_i386.deb"
    assert kept.archive("tzdata", "1") == tmp_path / "tzdata_1_all.deb"


def test_the_way_back_restarts_what_this_run_had_restarted_and_nothing_else(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = {"python.service": "active", "other.service": "active", "dead.service": "failed"}
    monkeypatch.setattr(needrestart, "ask", lambda: needrestart.Advice(["python.service", "other.service"]))
    monkeypatch.setattr(
        impact, "units", lambda _names: {n: impact.Unit(a, "", "", "") for n, a in units.items()}
    )
    told: list[str] = []

    def restart(name: str) -> None:
        told.append(name)
        raise CommandError("systemctl failed.")  # keeps nobody from restarting the next

    monkeypatch.setattr(services, "restart", restart)
    rollback.restart_dead(Plan(), list(units), {"python.service"})
    assert told == ["python.service", "dead.service"]


def test_no_half_of_an_archive_is_ever_the_way_back(
    kept: state.State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(state, "CACHE", tmp_path)
    (tmp_path / "web_1_amd64.deb").write_bytes(b"whole")
    copy = shutil.copy2

    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"ha")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(CourtkeeperError, match=r"cannot be kept in .*: No space left on device"):
        kept.keep_archives([("web", "1")], [])
    assert list(kept.archives.iterdir()) == []
    monkeypatch.setattr(shutil, "copy2", copy)
    kept.keep_archives([("web", "1")], [])
    assert (kept.archives / "web_1_amd64.deb").read_bytes() == b"whole"


def test_one_lost_archive_keeps_nothing_else_from_going_back(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {name: Installed(name=name, version="2", state="ii ") for name in ("nginx", "tzdata", KERNEL)}
    told: list[str] = []
    installed: list[list[str | Path]] = []

    def simulate(wanted: list[str], *, backwards: bool = False) -> parse.Simulated:
        if set(wanted) != {"nginx=1"}:
            raise CommandError("apt-get failed: Version '1' for 'tzdata' was not found.")
        return parse.Simulated({}, [])

    monkeypatch.setattr(apt, "installed", lambda _native: there)
    monkeypatch.setattr(
        apt,
        "policies",
        lambda names: {
            name: parse.Policy("2", "2", {"2": ["a mirror"], "1": ["a mirror"]} if name == "nginx" else {})
            for name in names
        },
    )
    monkeypatch.setattr(apt, "simulate", simulate)
    monkeypatch.setattr(apt, "install", lambda wanted, *_, **__: installed.append(list(wanted)))
    monkeypatch.setattr(apt, "mark_automatic", lambda _names: None)
    monkeypatch.setattr(impact, "units", lambda names: {n: impact.Unit("failed", "", "", "") for n in names})
    monkeypatch.setattr(services, "restart", told.append)
    monkeypatch.setattr(reboot, "running_kernel", lambda: "6.1.0-25-amd64")
    monkeypatch.setattr(apply, "go_back", rollback.go_back)
    half = Plan(
        changes=[Change(name=name, current="" if name == KERNEL else "1", target="2") for name in there],
        state_directory=str(kept.directory),
    )
    kept.note(Journal(run="r", phase="rolling_back", plan=half, active=["web.service"], boot="b", reason="x"))
    gates(monkeypatch, [])
    with pytest.raises(CourtkeeperError, match=r"Went back \(nginx\), and everything is well") as error:
        run(kept)
    assert "tzdata could not: no repository and no archive here has 1." in str(error.value)
    assert f"{KERNEL} could not: it is the kernel that runs." in str(error.value)
    assert (installed, told) == ([["nginx=1"]], ["web.service"])
    assert error.value.partial
    assert [f.subject for f in error.value.partial.findings if f.id == "patching.stays"] == [KERNEL, "tzdata"]


def test_what_is_dead_is_started_where_the_packages_cannot_go_back(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise CourtkeeperError("it would also remove half the host.")

    told: list[str] = []
    monkeypatch.setattr(apply, "go_back", fail)
    monkeypatch.setattr(impact, "units", lambda names: {n: impact.Unit("failed", "", "", "") for n in names})
    monkeypatch.setattr(services, "restart", told.append)
    gates(monkeypatch, ["web.service is failed"])
    with pytest.raises(CourtkeeperError, match="Going back failed, too: it would also remove half the host"):
        run(kept)
    assert told == ["web.service"]


def test_a_service_that_systemd_leaves_running_is_no_reason_to_go_back(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(unit: str) -> None:
        raise CommandError(f"systemctl failed: Unit {unit} is masked.")

    units = {"web.service": impact.Unit("active", "running", "", "")}
    monkeypatch.setattr(impact, "units", lambda _names: units)
    monkeypatch.setattr(impact, "running", lambda: ["web.service"])
    monkeypatch.setattr(services, "restart", refuse)
    gates(monkeypatch, [])
    result = run(kept, restarts=["web.service"])
    (finding,) = [finding for finding in result.findings if finding.id == "patching.behind"]
    assert finding.summary.endswith("was not restarted: systemctl failed: Unit web.service is masked.")
    assert result.actions == []


def test_what_is_no_running_service_of_this_host_is_not_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's service, the network's own unit (its stop takes the link down), a job of `systemd-run`."""
    names = ["user@1000.service", "ifup@ens18.service", "import.service", "web.service"]
    behind = [impact.Process(name, frozenset(), frozenset({"/usr/lib/libc.so.6"})) for name in names]
    units = {
        "ifup@ens18.service": impact.Unit("active", "exited", "", "", "static"),
        "import.service": impact.Unit("active", "running", "", "", "transient", "a timer"),
        "web.service": impact.Unit("active", "running", "", "", "enabled"),
    }
    monkeypatch.setattr(impact, "active", lambda: list(units))
    monkeypatch.setattr(impact, "units", lambda _names: units)
    assert impact.running() == ["web.service"]
    assert impact.expected() == ["ifup@ens18.service", "web.service"]
    monkeypatch.setattr(impact, "processes", lambda: behind)
    monkeypatch.setattr(apt, "audit", list)
    monkeypatch.setattr(reboot, "reason", str)
    monkeypatch.setattr(needrestart, "TOOL", tmp_path / "none")
    advice = needrestart.Advice(["qemu-of-a-user.service"])
    made = plan._plan(Settings(), [], {}, state.State(str(tmp_path), "amd64"), advice, impact.running())
    assert made.restarts == ["web.service"]


@pytest.mark.parametrize(
    ("running", "others", "wanted"),
    [
        ("6.1.0-20-amd64", ["6.1.0-25-amd64"], True),
        ("6.1.0-25-amd64", ["6.1.0-25-cloud-amd64"], False),
        ("6.12.48+deb13-amd64", ["6.12.50+deb13-cloud-amd64"], False),
        ("6.12.48+deb13-cloud-amd64", ["6.12.50+deb13-cloud-amd64"], True),
    ],
)
def test_a_kernel_of_another_flavour_is_no_reason_for_a_reboot(
    running: str, others: list[str], wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kernel in (running, *others):
        (tmp_path / f"vmlinuz-{kernel}").write_bytes(b"1" * 8)
        (tmp_path / f"initrd.img-{kernel}").write_bytes(b"1" * 40)
    monkeypatch.setattr(reboot, "BOOT", tmp_path)
    monkeypatch.setattr(reboot, "MARK", tmp_path / "none")
    monkeypatch.setattr(reboot, "running_kernel", lambda: running)
    assert bool(reboot.reason()) is wanted
    assert reboot.kernel_bytes() == 48


def test_a_reboot_that_changed_nothing_is_not_asked_for_again(
    kept: state.State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRUB_DEFAULT names the older kernel: the reason is the same after the reboot."""
    why = "kernel 2 is installed and 1 runs"
    monkeypatch.setattr(reboot, "reason", lambda: why)
    asked = plan._plan(Settings(reboot="if_required"), [], {}, kept, needrestart.Advice(), [])
    assert asked.actions() == ["Reboot the host"]
    gates(monkeypatch, [], [], [], [])
    assert run(kept, reboot="if_required").details["reboot"] is True
    monkeypatch.setattr(reboot, "boot", lambda: "the next boot")
    after = run(kept, reboot="if_required")
    (finding,) = [finding for finding in after.findings if finding.id == "patching.reboot"]
    assert "did not mend it" in finding.summary
    assert after.details["reboot"] is False
    asked = plan._plan(Settings(reboot="if_required"), [], {}, kept, needrestart.Advice(), [])
    assert asked.actions() == []
    assert run(kept, reboot="if_required").details["reboot"] is False  # an upgrade asks for none, either
    # For another reason it is.
    why = "kernel 3 is installed and 1 runs"
    asked = plan._plan(Settings(reboot="if_required"), [], {}, kept, needrestart.Advice(), [])
    assert asked.actions() == ["Reboot the host"]


def test_a_needrestart_that_is_missing_or_fails_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(needrestart, "TOOL", tmp_path / "needrestart")
    assert needrestart.not_asked(needrestart.ask()).status is Status.SKIPPED
    needrestart.TOOL.write_text("#!/bin/sh\necho it broke >&2; exit 3\n")
    needrestart.TOOL.chmod(0o755)
    assert needrestart.not_asked(needrestart.ask()).summary.startswith(
        "needrestart failed: it broke: a service"
    )
    needrestart.TOOL.write_text("#!/bin/sh\necho NEEDRESTART-SVC: x.service\n")
    assert needrestart.ask() == needrestart.Advice(["x.service"])


def test_an_undo_of_a_new_dependency_removes_it(kept: state.State) -> None:
    assert rollback.undo_command(Change(name="lib", current="", target="1"), kept) == "apt-get remove lib"
