"""The platform's small pieces, without its servers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper import platform
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.platform import files, ports, processes, schema, supervisor
from courtkeeper.platform.api import config as api_config
from courtkeeper.platform.api.database import Freshness
from courtkeeper.platform.api.health import _judge
from courtkeeper.platform.feed import config as feed_config
from courtkeeper.platform.parts import FeedPart
from courtkeeper.platform.postgres import Postgres, major_version, wheel_bin_dir
from courtkeeper.platform.state import (
    Health,
    PartStatus,
    PlatformStatus,
    Records,
    Secrets,
    Settings,
    State,
    new_secrets,
    read,
    read_secrets,
    read_state,
    write,
)
from courtkeeper.platform.valkey import Valkey, _quote
from support.examples import examples


class TestRoot:
    def test_the_nearest_checkout_above(self, tmp_path: Path) -> None:
        below = tmp_path / "a" / "b"
        below.mkdir(parents=True)
        (tmp_path / "ansible.cfg").touch()
        assert files.find_root(below, {}) == tmp_path.resolve()

    def test_the_variable_wins(self, tmp_path: Path) -> None:
        assert files.find_root(Path("/"), {"COURTKEEPER_ROOT": str(tmp_path)}) == tmp_path.resolve()

    def test_a_variable_that_names_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"\$COURTKEEPER_ROOT names .* no directory"):
            files.find_root(tmp_path, {"COURTKEEPER_ROOT": str(tmp_path / "x")})

    def test_no_checkout(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="in no checkout"):
            files.find_root(tmp_path, {})

    @pytest.mark.parametrize("name", ["two\nlines", "bell\a", b"\xff".decode(errors="surrogateescape")])
    def test_a_directory_that_no_server_could_be_told(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir()
        with pytest.raises(ConfigurationError, match=r"Postgres cannot work where .* Rename it\.$") as caught:
            platform.up(tmp_path / name)
        str(caught.value).encode()
        assert list((tmp_path / name).iterdir()) == []

    @pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
    def test_no_name_at_all(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match="no directory"):
            files.require_directory(Path(name), "--root")


class TestFiles:
    def test_a_file_is_whole_and_never_wider_than_asked(self, tmp_path: Path) -> None:
        path = tmp_path / "secrets.json"
        path.write_text("old")
        path.chmod(0o644)
        files.write_whole(path, b"new", 0o600)
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
        assert list(tmp_path.iterdir()) == [path]

    def test_a_part_left_behind_is_no_obstacle(self, tmp_path: Path) -> None:
        (tmp_path / "x.part").write_text("half")
        files.write_whole(tmp_path / "x", b"whole")
        assert (tmp_path / "x").read_bytes() == b"whole"

    def test_the_same_content_is_not_written_again(self, tmp_path: Path) -> None:
        assert write(tmp_path / "state.json", State(version=1))
        before = (tmp_path / "state.json").stat().st_mtime_ns
        assert not write(tmp_path / "state.json", State(version=1))
        assert (tmp_path / "state.json").stat().st_mtime_ns == before

    def test_one_at_a_time(self, tmp_path: Path) -> None:
        lock, waited, order = tmp_path / ".lock", threading.Event(), []

        def second() -> None:
            with files.exclusive(lock, waited.set):
                order.append("second")

        with files.exclusive(lock, lambda: None):
            thread = threading.Thread(target=second)
            thread.start()
            assert waited.wait(10)
            order.append("first")
        thread.join(120)
        assert order == ["first", "second"]

    def test_patience_has_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(files, "_LOCK_TIMEOUT_S", 0.1)
        with (
            files.exclusive(tmp_path / ".lock", lambda: None),
            pytest.raises(CourtkeeperError, match="Another `courtkeeper platform`"),
            files.exclusive(tmp_path / ".lock", lambda: None),
        ):
            pass

    @pytest.mark.parametrize(
        "content",
        [b"{", b"[]", b'{"version": "one"}', b'{"x": ' + b"[" * 100_000, b'{"version\xff": 1}', None],
    )
    def test_a_damaged_file_is_named(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "state.json"
        path.mkdir() if content is None else path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"state\.json is damaged"):
            read(path, State)

    @pytest.mark.parametrize(
        "settings", ['"ports": {"api": 70000}', '"ports": {"api": 0}', '"postgres_home": "/etc"',
                     '"postgres_home": "/var/lib/courtkeeper/../postgres"'],
    )  # fmt: skip
    def test_settings_that_cannot_be(self, tmp_path: Path, settings: str) -> None:
        (tmp_path / "settings.json").write_text(f'{{"root": "/x", {settings}}}')
        with pytest.raises(ConfigurationError, match=r"settings\.json is damaged"):
            read(tmp_path / "settings.json", Settings)

    def test_a_platform_that_is_not_up(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="run `courtkeeper platform up`"):
            read_state(tmp_path)
        with pytest.raises(ConfigurationError, match="run `courtkeeper platform up`"):
            read_secrets(tmp_path)


EXAMPLES: dict[type, object] = {
    State: {
        "version": 1,
        "cache": {"host": "127.0.0.1", "port": 1, "database": 0, "pid": 1},
        "feed": {"kind": "simulated", "url": "http://127.0.0.1:1", "pid": 1, "date": "2026-02-11"},
    },
    Secrets: {f"database_{n}password": "x" for n in ("", "admin_", "api_")} | {"cache_password": "x"},
    Settings: {"root": "/x", "ports": {"api": 1}, "postgres_home": "postgres", "first_night": "2026-02-11"},
    Records: {
        "root": "/x",
        "parts": {"api": {"identity": {"pid": 1, "started": 1, "boot": "b"}, "fingerprint": "f"}},
    },
    feed_config.FeedConfig: {"kind": "simulated", "port": 1, "first_night": "2026-02-11", "faults": []},
    api_config.ApiConfig: {
        "host": "127.0.0.1",
        "port": 1,
        "database": {"host": "h", "port": 1, "password": "p", "database": "d", "user": "u"},
        "cache": {"host": "h", "port": 1, "password": "p"},
    },
}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[type, bytes]:
    """One of our files with something else in it, or in the place of a piece of it."""
    kind = draw(st.sampled_from(list(EXAMPLES)))
    whole = msgspec.json.encode(EXAMPLES[kind])
    if draw(st.booleans()):
        begin, end = sorted(draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
        other = draw(
            st.binary(max_size=20) | st.sampled_from([b"[" * 20_000, b'{"a":' * 20_000, b"9" * 5000])
        )
        return kind, whole[:begin] + other + whole[end:]
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates().map(str)
    values = st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=5)
    content = msgspec.json.decode(whole)
    content[draw(st.sampled_from(sorted(content)) | st.text())] = draw(values)
    return kind, msgspec.json.encode(content)


@examples(150)
@given(damaged())
def test_a_damaged_file_is_read_whole_or_refused(tmp_path_factory, given_file: tuple[type, bytes]) -> None:
    kind, content = given_file
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(content)
    readers = {feed_config.FeedConfig: feed_config.load, api_config.ApiConfig: api_config.load}
    with suppress(ConfigurationError):
        assert isinstance(readers[kind](path) if kind in readers else read(path, kind), kind)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"{", b"[]", b'{"faults": []}'])
def test_faults_are_kept_only_from_a_whole_file(tmp_path: Path, content: bytes) -> None:
    feed = FeedPart(files.Layout(tmp_path), 1, recorded_dir=None, first_night=date(2026, 2, 11), seed=1)
    feed.config.parent.mkdir(parents=True)
    feed.config.write_bytes(content)
    assert feed.configuration()["faults"] == []


class TestProcesses:
    def test_a_process_is_itself_until_it_ends(self) -> None:
        child = subprocess.Popen(["sleep", "600"])
        identity = processes.identify(child.pid)
        assert identity
        assert processes.is_alive(identity)
        assert not processes.is_alive(processes.Identity(child.pid, identity.started + 1, identity.boot))
        assert not processes.is_alive(processes.Identity(child.pid, identity.started, "another boot"))
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.identify(child.pid) is None  # a zombie now
        child.wait()

    def test_no_such_process(self) -> None:
        assert processes.identify(2**22 + 1) is None

    def test_another_with_the_same_pid_is_not_stopped(self) -> None:
        with subprocess.Popen(["sleep", "600"]) as child:
            reused = processes.Identity(child.pid, 1, "another boot")
            assert processes.stop(reused, [(signal.SIGKILL, 1.0)])
            assert child.poll() is None
            child.kill()

    def test_stop_goes_from_asking_to_force(self, tmp_path: Path) -> None:
        deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True);"
        log = tmp_path / "log"
        identity = processes.spawn([sys.executable, "-c", deaf + "time.sleep(600)"], log=log)
        deadline = time.monotonic() + 120
        while not log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not processes.stop(identity, [(signal.SIGTERM, 0.2)])
        assert processes.stop(identity, [(signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0)])
        assert not processes.is_alive(identity)
        assert processes.stop(identity, [(signal.SIGKILL, 1.0)])  # gone already

    def test_what_cannot_be_started(self, tmp_path: Path) -> None:
        with pytest.raises(CourtkeeperError, match="cannot be started: No such file"):
            processes.spawn([tmp_path / "nothing"], log=tmp_path / "log")
        assert processes.run([tmp_path / "nothing"]).returncode == 126

    def test_found_by_its_directory_or_its_arguments(self, tmp_path: Path) -> None:
        identity = processes.spawn(["sleep", "611.5"], log=tmp_path / "log", directory=tmp_path)
        try:
            assert processes.processes_in(tmp_path, "sleep", None) == [identity]
            assert processes.processes_in(tmp_path, "postgres", None) == []
            assert processes.processes_with_arguments(["611.5"]) == [identity]
            assert processes.processes_with_arguments(["11.5"]) == []
        finally:
            processes.stop(identity, [(signal.SIGKILL, 5.0)])

    def test_the_last_line_that_says_something(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_text("first\nthe reason\n\n")
        assert processes.last_line(tmp_path / "log") == "the reason"
        assert processes.last_line(tmp_path / "none") == ""


class TestPorts:
    def test_a_port_in_use_is_not_free(self) -> None:
        with socket.socket() as listener:
            port = ports.free_port()
            listener.bind((ports.HOST, port))
            listener.listen()
            assert not ports.is_free(port)
        assert ports.is_free(port)

    def test_some_are_avoided(self) -> None:
        wanted = ports.free_port()

        class AllButOne:
            def __contains__(self, port: object) -> bool:
                return port != wanted

        assert ports.free_port(avoid=AllButOne()) == wanted


class TestServers:
    def test_a_value_of_postgres_cannot_break_out(self, tmp_path: Path) -> None:
        home = tmp_path / "it's"
        home.mkdir()
        server = Postgres(
            home=home, log=tmp_path / "log", port=5, bin_dir=tmp_path, account=None,
            settings={"cluster_name": "a'b\\c"},
        )  # fmt: skip
        assert r"cluster_name = 'a''b\\c'" in server.configuration
        assert "port = '5'" in server.configuration

    def test_a_directory_without_programs(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no program postgres and no initdb"):
            major_version(tmp_path)

    @pytest.mark.parametrize(
        ("says", "sentence"),
        [("echo 'postgres (PostgreSQL) 9.6.1'", "15 is the oldest"), ("exit 3", "does not run")],
    )
    def test_programs_that_will_not_do(self, tmp_path: Path, says: str, sentence: str) -> None:
        for name in ("postgres", "initdb"):
            (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
            (tmp_path / name).chmod(0o755)
        with pytest.raises(ConfigurationError, match=sentence):
            major_version(tmp_path)

    def test_the_wheel(self) -> None:
        assert major_version(wheel_bin_dir()) >= 17

    def test_valkey_keeps_what_a_person_changed(self, tmp_path: Path) -> None:
        home = tmp_path / "cache"
        home.mkdir()
        server = Valkey(home=home, log=tmp_path / "log", port=1, password='p"w')
        server.config.write_text(server._configuration().replace("64mb", "96mb"))
        moved = Valkey(home=home, log=tmp_path / "log", port=2, password='p"w')
        text = moved._configuration()
        assert "port 2\n" in text
        assert "96mb" in text
        assert r'requirepass "p\"w"' in text

    def test_valkey_gets_a_new_password(self, tmp_path: Path) -> None:
        old = Valkey(home=tmp_path, log=tmp_path / "log", port=1, password="old")
        # As CONFIG REWRITE leaves it: the password is there twice.
        old.config.write_text(old._configuration() + "user default on #0011 ~* &* +@all\n")
        assert "user default" in old._configuration()
        text = Valkey(home=tmp_path, log=tmp_path / "log", port=1, password="new")._configuration()
        assert 'requirepass "new"\n' in text
        assert '"old"' not in text
        assert "user default" not in text

    @pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"maxmemory 1mb"])
    def test_valkey_without_our_lines_gets_them_again(self, tmp_path: Path, content: bytes) -> None:
        server = Valkey(home=tmp_path / "a[1]\\", log=tmp_path / "log", port=7, password="p")
        server.home.mkdir()
        server.config.write_bytes(content)
        lines = server._configuration().splitlines()
        escaped = str(server.home).replace("\\", "\\\\")
        assert {"bind 127.0.0.1", "port 7", 'requirepass "p"', f'dir "{escaped}"'} <= set(lines)

    def test_quoting(self) -> None:
        assert _quote('a\\b"c') == r'"a\\b\"c"'


class TestSchema:
    def test_head_is_alembics_head(self) -> None:
        from alembic.script import ScriptDirectory

        from courtkeeper.platform.schema.alembic_run import configuration

        script = ScriptDirectory.from_config(configuration())
        assert script.get_current_head() == schema.head()
        assert [step.revision for step in script.walk_revisions()][::-1] == schema.revisions()
        assert all(len(revision) == 4 and revision.isdigit() for revision in schema.revisions())


class TestStatus:
    @pytest.mark.parametrize(
        ("parts", "whole"),
        [
            ([Health.UP, Health.UP], Health.UP),
            ([Health.DOWN, Health.DOWN], Health.DOWN),
            ([Health.UP, Health.DOWN], Health.DEGRADED),
            ([Health.UP, Health.DEGRADED], Health.DEGRADED),
        ],
    )
    def test_the_whole(self, parts: list[Health], whole: Health) -> None:
        shown = [PartStatus(name="x", status=s, pid=None, address="", summary="") for s in parts]
        assert PlatformStatus(root="", parts=shown).status is whole

    def test_secrets_are_never_printed(self) -> None:
        secrets = new_secrets()
        assert "…" in repr(secrets)
        assert secrets.cache_password not in repr(secrets)
        assert isinstance(secrets, Secrets)


class TestFreshness:
    now = datetime(2026, 2, 12, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("age_h", "warn", "crit", "newest", "status", "words"),
        [
            (None, 0, 0, None, Status.UNKNOWN, "No refresh has finished yet."),
            (1, 0, 0, "finished", Status.OK, "The last refresh is recent"),
            (37, 0, 0, "finished", Status.WARN, "The last refresh finished 37 h ago."),
            (1, 2, 0, "finished", Status.WARN, "2 data quality issues are open."),
            (1, 0, 1, "finished", Status.CRIT, "1 critical"),
            (None, 0, 1, "failed", Status.CRIT, "1 critical"),
            (
                1,
                0,
                0,
                "failed",
                Status.WARN,
                "The newest refresh failed: the last that finished did 1 h ago.",
            ),
            (1, 0, 0, "incomplete", Status.WARN, "The newest refresh was incomplete: "),
            (99, 1, 0, "interrupted", Status.WARN, "The newest refresh was interrupted: "),
            (None, 0, 0, "failed", Status.WARN, "The newest refresh failed, and none has finished yet."),
        ],
    )
    def test_judgement(
        self, age_h: int | None, warn: int, crit: int, newest: str | None, status: Status, words: str
    ) -> None:
        last = self.now - timedelta(hours=age_h) if age_h is not None else None
        found = Freshness(last, None, warn, crit, newest)
        judged, summary = _judge(found, self.now, timedelta(hours=36))
        assert judged is status
        assert summary.startswith(words)
        assert summary.endswith(".")


class TestRecordedNight:
    @pytest.mark.parametrize("content", [None, "{", "{}", '{"scoreboard": {"gameDate": "soon"}}', "[]"])
    def test_no_scoreboard(self, tmp_path: Path, content: str | None) -> None:
        path = tmp_path / supervisor._RECORDED_SCOREBOARD
        path.parent.mkdir(parents=True)
        if content is not None:
            path.write_text(content)
        with pytest.raises(ConfigurationError, match="todaysScoreboard_00"):
            supervisor._recorded_night(tmp_path)


def test_the_package_offers_its_verbs() -> None:
    assert platform.up is supervisor.up
    assert platform.State is State
    with pytest.raises(AttributeError):
        platform.nothing  # noqa: B018
