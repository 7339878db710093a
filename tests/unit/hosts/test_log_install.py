"""Stanzas are tried on a copy, installed, and put back when logrotate complains or the run was killed."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Result
from courtkeeper.hosts import commands, files
from courtkeeper.hosts.logs import install, rotation, state
from support.killed import killed_at

pytestmark = [
    pytest.mark.skipif(
        shutil.which("logrotate", path="/usr/sbin:/usr/bin") is None, reason="needs logrotate"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="logrotate only reads what belongs to root"),
]


class Host:
    """A configuration of its own for the real logrotate."""

    def __init__(self, home: Path) -> None:
        self.logs = home / "logs"
        self.place = install.Place(main=home / "logrotate.conf", directory=home / "d", state=home / "state")
        self.logs.mkdir()
        self.place.directory.mkdir()
        self.place.main.write_text(f"weekly\nrotate 4\ninclude {self.place.directory}\n")
        self.place.main.chmod(0o644)
        (self.logs / "app.log").write_text("1\n")

    def package(self, text: str) -> Path:
        path = self.place.directory / "package"
        path.write_text(text)
        path.chmod(0o644)
        return path

    def run(self, *entries: dict[str, Any], check: bool = False, **wanted: Any) -> Result:
        values = {"roots": [str(self.logs)], "compress_after_days": 7, "keep_days": 30, **wanted}
        return rotation.rotate(
            rotation.Wanted(stanzas=list(entries), **values),
            keeper="/opt/python",
            now=datetime.now(UTC),
            check=check,
            place=self.place,
            progress=lambda _done, _total, _text: None,
        )

    def app(self, **more: Any) -> dict[str, Any]:
        return {"name": "app", "paths": [f"{self.logs}/*.log"], "reopens": True, **more}

    def files(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.place.directory.iterdir())}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_check_mode_says_what_is_then_done_and_changes_nothing(host: Host) -> None:
    planned = host.run(host.app(), check=True)
    assert host.files() == {}
    done = host.run(host.app())
    assert done.actions == planned.actions == [f"write {host.place.directory}/courtkeeper-app"]
    assert done.diff == planned.diff
    assert list(host.files()) == ["courtkeeper-app"]
    again = host.run(host.app())
    assert (again.changed, again.actions, again.diff) == (False, [], {})


def test_what_logrotate_does_not_accept_is_never_in_use(host: Host) -> None:
    host.run(host.app())
    before = host.files()
    for check in (True, False):
        with pytest.raises(ConfigurationError, match=r"courtkeeper-app:.* unknown user 'nosuchuser'"):
            host.run(host.app(owner="nosuchuser", group="adm"), check=check)
        assert host.files() == before


def test_a_path_of_a_package_is_refused_and_can_be_taken_over_and_given_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = host.package(f"{host.logs}/app.log {{\n daily\n}}\n")
    with pytest.raises(ConfigurationError, match="duplicate log entry"):
        host.run(host.app())
    monkeypatch.setattr("courtkeeper.hosts.logs.stanzas._refuse_odd_paths", lambda *_: None)  # not in /etc
    taken = host.run(host.app(replaces=str(package)))
    assert list(host.files()) == ["courtkeeper-app", "package.disabled"]
    assert f"{package} comes back" in taken.findings[0].undo
    assert not host.run(host.app(replaces=str(package))).changed
    assert not install.complaints(host.place.main)
    given = host.run()
    assert given.changed
    assert host.files() == {"package": f"{host.logs}/app.log {{\n daily\n}}\n"}


def test_a_package_file_that_came_back_is_not_written_over(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = host.package("# one\n")
    Path(f"{package}.disabled").write_text("# two\n")
    monkeypatch.setattr("courtkeeper.hosts.logs.stanzas._refuse_odd_paths", lambda *_: None)
    with pytest.raises(ConfigurationError, match="came back and differs"):
        host.run(host.app(replaces=str(package)))


def test_older_faults_of_the_host_do_not_hold_us_up(host: Host) -> None:
    host.package("/var/log/x.log {\n create 0640 nosuchuser adm\n}\n")
    assert host.run(host.app()).changed


def test_a_configuration_that_includes_nothing_is_refused(host: Host) -> None:
    host.place.main.write_text("weekly\n")
    with pytest.raises(ConfigurationError, match="does not include"):
        host.run(host.app())


def test_what_logrotate_complains_of_afterwards_is_put_back(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run(host.app())
    before = host.files()
    monkeypatch.setattr(install, "refuse_unusable", lambda *_: None)  # as if it was wrong only in its place
    with pytest.raises(CourtkeeperError, match=r"were put back: courtkeeper-app.*nosuchuser"):
        host.run(host.app(owner="nosuchuser", group="adm"))
    assert host.files() == before
    assert not (host.place.state / "pending.json").exists()


def test_killed_at_any_point_the_next_run_ends_where_it_should(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("courtkeeper.hosts.logs.stanzas._refuse_odd_paths", lambda *_: None)
    wanted = None
    for number in range(1, 200):
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        package = host.package(f"{host.logs}/app.log {{\n daily\n}}\n")
        entry = host.app(replaces=str(package))
        killed = killed_at(number, lambda host=host, entry=entry: host.run(entry))  # type: ignore[misc]
        assert not install.complaints(host.place.main) or (host.place.state / "pending.json").exists()
        host.run(entry)
        assert sorted(host.files()) == ["courtkeeper-app", "package.disabled"], f"after a kill at {number}"
        assert not host.run(entry).changed
        assert not install.complaints(host.place.main)
        if not killed:
            wanted = number
            break
    assert wanted is not None
    assert wanted > 8


def test_killed_while_a_stanza_is_taken_back_the_packages_file_comes_back_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("courtkeeper.hosts.logs.stanzas._refuse_odd_paths", lambda *_: None)
    for number in range(1, 200):
        (tmp_path / str(number)).mkdir()
        host = Host(tmp_path / str(number))
        package = host.package(f"{host.logs}/app.log {{\n daily\n}}\n")
        host.run(host.app(replaces=str(package)))
        killed = killed_at(number, lambda host=host: host.run())  # type: ignore[misc]
        host.run()
        assert list(host.files()) == ["package"], f"after a kill at {number}"
        assert not host.run().changed
        if not killed:
            return
    pytest.fail("the work never ends")


def test_a_package_file_is_not_set_aside_for_a_part_of_its_logs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = host.package(f"{host.logs}/app.log\n{host.logs}/mail.txt {{\n daily\n}}\n")
    monkeypatch.setattr("courtkeeper.hosts.logs.stanzas._refuse_odd_paths", lambda *_: None)
    with pytest.raises(ConfigurationError, match=r"rotates .*/mail\.txt as well"):
        host.run(host.app(replaces=str(package)))
    assert list(host.files()) == ["package"]
    mail = {"name": "mail", "paths": [f"{host.logs}/mail.txt"], "reopens": True}
    assert host.run(host.app(replaces=str(package)), mail).changed


def test_a_service_that_cannot_be_reloaded_is_refused_unless_it_gets_a_signal(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation.services, "exists", lambda _unit: True)
    monkeypatch.setattr(rotation.services, "can_reload", lambda _unit: False)
    with pytest.raises(ConfigurationError, match=r"worker\.service, which systemd cannot reload"):
        host.run(host.app(reopens=None, service="worker"))
    assert host.files() == {}
    assert host.run(host.app(reopens=None, service="worker", signal="HUP")).changed


@pytest.mark.parametrize("archive", ["/tmp/archive", "/var/tmp/a/b", "/usr/local/archive"])  # noqa: S108
def test_an_archive_that_logrotates_own_service_has_not_got_is_refused(host: Host, archive: str) -> None:
    with pytest.raises(ConfigurationError, match="private to or read-only for logrotate"):
        host.run(host.app(), archive=archive)
    assert host.files() == {}


def test_what_the_host_says_for_all_stanzas_removes_nothing_before_it_is_archived(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.place.main.write_text(f"weekly\nmaxage 5\nminsize 1G\ninclude {host.place.directory}\n")
    old = host.logs / "app.log-20260101-000000"
    old.write_text("old\n")
    os.utime(old, (1, 1))
    monkeypatch.setattr(rotation, "SEALED", ())
    monkeypatch.setattr(rotation, "_keep", lambda *_, **__: [])  # as if it became due after our run
    host.run(host.app(), archive=str(host.logs.parent / "archive"))
    status = host.place.state / "status"
    status.write_text(f'logrotate state -- version 2\n"{host.logs}/app.log" 2026-1-1-0:0:0\n')
    commands.run(["logrotate", "--state", status, host.place.main], timeout_s=60, allowed=(0, 1))
    assert old.exists()
    assert len(list(host.logs.glob("app.log-*"))) == 2, "nothing was rotated"


def test_a_disk_that_fills_up_meanwhile_leaves_no_half_of_a_takeover(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = host.package(f"{host.logs}/app.log {{\n daily\n}}\n")
    monkeypatch.setattr("courtkeeper.hosts.logs.stanzas._refuse_odd_paths", lambda *_: None)
    write = files.write

    def full(path: Path, *more: Any) -> None:
        if path == host.place.directory / "courtkeeper-app":
            raise OSError(28, "No space left on device")
        write(path, *more)

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(CourtkeeperError, match="No space left on device; they were put back"):
        host.run(host.app(replaces=str(package)))
    assert list(host.files()) == ["package"]
    assert not (host.place.state / "pending.json").exists()


def test_what_cannot_be_put_back_either_says_both_and_is_put_back_by_the_next_run(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.run(host.app())
    before = host.files()
    write = files.write

    def full(path: Path, *more: Any) -> None:
        if path.parent == host.place.directory:
            raise OSError(30, "Read-only file system", str(path))
        write(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", full)
        for reason in (
            "could not be installed: .*; what .*pending.json says could not be taken back",
            "^what ",
        ):
            with pytest.raises(CourtkeeperError, match=rf"{reason}.*Read-only file system\): mend that"):
                host.run(host.app(keep_days=60))
    assert (host.place.state / "pending.json").exists()
    host.run(host.app())
    assert host.files() == before
    assert not (host.place.state / "pending.json").exists()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        state.locked(tmp_path),
        pytest.raises(CourtkeeperError, match="another log_rotation"),
        state.locked(tmp_path, wait_s=0.3),
    ):
        pass


def test_a_damaged_state_is_named(host: Host) -> None:
    host.place.state.mkdir()
    (host.place.state / "state.json").write_text("{half")
    with pytest.raises(CourtkeeperError, match=r"state\.json cannot be read"):
        host.run(host.app())


def test_an_archive_among_the_logs_is_refused(host: Host) -> None:
    with pytest.raises(ConfigurationError, match=r"log_rotation_archive is .* which lies in"):
        host.run(host.app(), archive=f"{host.logs}/archive")


def test_a_full_disk_is_refused_before_anything_changed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation.copies, "free_bytes", lambda _path: 0)
    with pytest.raises(ConfigurationError, match="is full"):
        host.run(host.app())
    assert host.files() == {}
