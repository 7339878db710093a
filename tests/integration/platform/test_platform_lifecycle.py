"""up, status and down on real servers: what they write, that they mend, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis
from msgspec import structs

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.platform import processes, supervisor
from courtkeeper.platform.parts import PostgresPart
from courtkeeper.platform.ports import is_free
from courtkeeper.platform.postgres import Postgres
from courtkeeper.platform.state import Health
from support.platform import (
    LIBRARY,
    PARTS,
    Checkout,
    cli,
    client_of,
    kill,
    new_checkout,
    processes_of,
    wait_until,
)


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own address
        return response.status, response.read().decode()


def statuses(checkout: Checkout) -> dict[str, Health]:
    return {part.name: part.status for part in supervisor.status(checkout.root).parts}


def works(checkout: Checkout) -> None:
    """Every part does its work, asked from outside."""
    state = checkout.state
    with checkout.connect() as connection:
        assert connection.execute("SELECT count(*) FROM games").fetchone() == (0,)
    assert state.api
    assert get(f"{state.api.url}/games?date=2026-02-11")[0] == 200
    detailed = json.loads(get(f"{state.api.url}/health/detailed")[1])
    assert detailed["checks"]["cache"]["status"] == "ok"
    assert set(statuses(checkout).values()) == {Health.UP}


class TestWhatUpMakes:
    def test_state_and_secrets_are_as_the_contract_says(self, platform: Checkout) -> None:
        state = platform.raw("state.json")
        pids = platform.pids()
        assert set(state) == {"version", "postgres", "cache", "feed", "api"}
        assert state["version"] == 1
        assert set(state["postgres"]) == {
            "host", "port", "database", "user", "admin_user", "bin", "data", "pid"
        }  # fmt: skip
        assert set(state["cache"]) == {"host", "port", "database", "pid"}
        assert set(state["feed"]) == {"kind", "url", "pid", "date"}
        assert set(state["api"]) == {"url", "pid"}
        assert {name: state[name]["pid"] for name in PARTS} == pids
        assert set(platform.raw("secrets.json")) == {
            "database_password", "database_admin_password", "database_api_password", "cache_password"
        }  # fmt: skip
        assert len(set(platform.raw("secrets.json").values())) == 4
        assert Path(state["postgres"]["bin"], "pg_dump").is_file()
        assert Path(state["postgres"]["data"], "PG_VERSION").is_file()

    def test_secret_files_are_for_their_owner_alone(self, platform: Checkout) -> None:
        for name in ("secrets.json", "api.json", "processes.json", "cache/valkey.conf"):
            assert (platform.var / name).stat().st_mode & 0o777 == 0o600, name

    def test_no_secret_is_in_a_command_line_or_an_environment(self, platform: Checkout) -> None:
        values = [value.encode() for value in platform.raw("secrets.json").values()]
        ours = processes_of(platform.root)
        assert len(ours) >= len(PARTS)
        for pid, _ in ours:
            for name in ("cmdline", "environ"):
                try:
                    content = Path(f"/proc/{pid}/{name}").read_bytes()
                except (FileNotFoundError, ProcessLookupError):  # a worker of Postgres that is done
                    continue
                assert not any(value in content for value in values), (pid, name)

    @pytest.mark.slow
    def test_our_environment_is_not_handed_on(self, platform: Checkout) -> None:
        platform.down()
        done = cli("platform", "up", "--feed", "simulated", "--root", platform.root, A_TOKEN="do-not-leak")
        assert done.returncode == 0, done.stderr
        for pid in platform.pids().values():
            assert b"do-not-leak" not in Path(f"/proc/{pid}/environ").read_bytes()

    def test_postgres_is_set_up_as_for_a_real_platform(self, platform: Checkout) -> None:
        with platform.connect("courtkeeper_admin") as connection:

            def show(name: str) -> str:
                row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
                assert row
                return str(row[0])

            assert show("data_checksums") == "on"
            assert show("listen_addresses") == "127.0.0.1"
            assert show("shared_preload_libraries") == "pg_stat_statements"
            assert show("fsync") == "on"
            rows = connection.execute("SELECT extname FROM pg_extension").fetchall()
            assert {"amcheck", "pgstattuple", "pg_stat_statements"} <= {row[0] for row in rows}
            rows = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
            assert rows == [("scram-sha-256",)]
            rows = connection.execute("SELECT query FROM pg_stat_statements").fetchall()
        secrets = platform.raw("secrets.json").values()
        assert not any(secret in row[0] for row in rows for secret in secrets)

    def test_no_log_holds_a_secret(self, platform: Checkout) -> None:
        logs = "".join(path.read_text(errors="replace") for path in (platform.var / "log").iterdir())
        assert not any(secret in logs for secret in platform.raw("secrets.json").values())

    def test_everybody_else_is_refused(self, platform: Checkout) -> None:
        postgres, cache = platform.state.postgres, platform.state.cache
        assert postgres
        assert cache
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(platform.dsn() + " password=wrong")
        with socket.create_connection((cache.host, cache.port), timeout=5) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100).startswith(b"-NOAUTH")

    def test_the_cache_never_evicts_a_generation(self, platform: Checkout) -> None:
        text = (platform.var / "cache" / "valkey.conf").read_text()
        assert "maxmemory-policy volatile-lru" in text
        assert "appendonly yes" in text

    def test_recorded_feed_names_the_recorded_night(self, checkout: Checkout, recorded: Path) -> None:
        outcome = checkout.up(feed_kind="recorded", recorded_dir=recorded, parts=("feed",))
        assert outcome.state.feed
        assert outcome.state.feed.kind == "recorded"
        assert outcome.state.feed.date.isoformat() == "2026-02-11"

    def test_simulated_feed_names_yesterday_in_new_york(self, checkout: Checkout) -> None:
        late_in_new_york = datetime(2026, 3, 3, 4, 30, tzinfo=UTC)  # still 2 March there
        state = checkout.up(now=late_in_new_york, parts=("feed",)).state
        assert state.feed
        assert (state.feed.kind, state.feed.date.isoformat()) == ("simulated", "2026-03-01")
        a_day_later = checkout.up(now=datetime(2026, 3, 4, 4, 30, tzinfo=UTC), parts=("feed",))
        assert a_day_later.state.feed
        assert a_day_later.state.feed.date.isoformat() == "2026-03-02"
        assert a_day_later.state.feed.pid == state.feed.pid  # only the night has moved
        assert checkout.raw("feed.json")["first_night"] == "2026-03-01"

    def test_auto_takes_recorded_games_where_there_are_some(
        self, checkout: Checkout, monkeypatch: pytest.MonkeyPatch, recorded: Path
    ) -> None:
        monkeypatch.delenv("COURTKEEPER_RECORDED", raising=False)
        assert supervisor._recorded_dir(checkout.root, "auto", None) is None
        monkeypatch.setenv("COURTKEEPER_RECORDED", str(recorded))
        assert supervisor._recorded_dir(checkout.root, "auto", None) == recorded.resolve()
        assert supervisor._recorded_dir(checkout.root, "simulated", None) is None


class TestIdempotence:
    def test_a_second_up_changes_nothing_and_says_so(self, platform: Checkout) -> None:
        def picture() -> dict[str, tuple[int, bytes]]:
            files = platform.var.glob("*.json")
            return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in files}

        before = picture()
        outcome = platform.up()
        assert outcome.actions == []
        assert platform.messages == []
        assert picture() == before
        said = cli("platform", "up", "--feed", "simulated", "--root", platform.root)
        assert (said.returncode, said.stderr) == (0, "")
        assert "nothing was changed" in said.stdout
        assert picture() == before

    @pytest.mark.slow
    def test_down_twice(self, platform: Checkout) -> None:
        assert len(platform.down()) == len(PARTS)
        assert platform.down() == []
        assert set(statuses(platform).values()) == {Health.DOWN}

    @pytest.mark.slow
    def test_data_and_ports_outlive_down(self, platform: Checkout) -> None:
        with platform.connect() as connection:
            connection.execute(
                "INSERT INTO teams VALUES (1610612737, 'Atlanta', 'Hawks', 'ATL', DATE '2026-02-11')"
            )
        ports = platform.raw("settings.json")["ports"]
        platform.down()
        done = cli("platform", "up", "--feed", "simulated", "--root", platform.root)
        assert done.returncode == 0, done.stderr
        with platform.connect() as connection:
            assert connection.execute("DELETE FROM teams RETURNING tricode").fetchall() == [("ATL",)]
        assert platform.raw("settings.json")["ports"] == ports


class TestMending:
    @pytest.mark.parametrize("name", [pytest.param("postgres", marks=pytest.mark.slow), *PARTS[1:]])
    def test_a_killed_part_comes_back_alone(self, platform: Checkout, name: str) -> None:
        before = platform.pids()
        kill(before[name])
        assert statuses(platform)[name] is Health.DOWN
        platform.up()
        after = platform.pids()
        assert {n for n in PARTS if after[n] != before[n]} == {name}
        works(platform)

    @pytest.mark.slow
    def test_all_killed_at_once(self, platform: Checkout) -> None:
        for pid in platform.pids().values():
            os.kill(pid, signal.SIGKILL)
        platform.up()
        works(platform)

    @pytest.mark.slow
    def test_a_backend_at_work_when_postgres_is_killed(self, platform: Checkout) -> None:
        with platform.connect() as connection:
            connection.execute("SELECT ensure_season_partition(2025::smallint)")
            kill(platform.pids()["postgres"])
            platform.up()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        works(platform)

    @pytest.mark.slow
    def test_a_hung_part_is_restarted(self, platform: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervisor, "_HUNG_S", 0.5)
        before = platform.pids()["cache"]
        os.kill(before, signal.SIGSTOP)
        assert statuses(platform)["cache"] is Health.DEGRADED
        platform.up()
        assert platform.pids()["cache"] != before
        assert processes.identify(before) is None
        works(platform)

    @pytest.mark.slow
    def test_a_part_that_nobody_recorded_is_not_left_behind(self, platform: Checkout) -> None:
        before = platform.pids()
        records = platform.raw("processes.json")
        (platform.var / "processes.json").write_text(json.dumps({**records, "parts": {}}))
        platform.up()
        assert not any(processes.identify(pid) for pid in before.values())
        works(platform)

    @pytest.mark.slow
    def test_damaged_settings_are_named_and_what_that_says_mends_it(self, platform: Checkout) -> None:
        path = platform.var / "settings.json"
        path.write_text(path.read_text().replace('"ports": {', '"ports": {"x": 70000,'))
        with pytest.raises(ConfigurationError, match=r"settings\.json is damaged .* or remove it and run"):
            platform.up()
        assert platform.down()  # every process is found without them
        assert processes_of(platform.root) == []
        path.unlink()
        platform.up()
        works(platform)

    @pytest.mark.parametrize(
        "content", [b'{"root": ' + b"[" * 100_000, pytest.param(None, marks=pytest.mark.slow)]
    )
    def test_down_without_the_records(self, platform: Checkout, content: bytes | None) -> None:
        path = platform.var / "processes.json"
        path.unlink()
        path.mkdir() if content is None else path.write_bytes(content)
        try:
            assert len(platform.down()) == len(PARTS)
            assert processes_of(platform.root) == []
        finally:
            path.rmdir() if content is None else path.unlink()

    @pytest.mark.slow
    def test_a_directory_where_a_file_should_be(self, platform: Checkout) -> None:
        (platform.var / "state.json").unlink()
        (platform.var / "state.json").mkdir()
        try:
            done = cli("platform", "up", "--feed", "simulated", "--root", platform.root)
            assert done.returncode == 1
            assert "state.json: Is a directory. Mend that" in done.stderr.replace("\n", " ")
            assert "Traceback" not in done.stderr
            platform.down()
            assert processes_of(platform.root) == []
        finally:
            (platform.var / "state.json").rmdir()

    def test_an_open_secrets_file_is_closed(self, platform: Checkout) -> None:
        (platform.var / "secrets.json").chmod(0o644)
        assert any("open to other users" in action for action in platform.up().actions)
        assert (platform.var / "secrets.json").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        "content",
        [b"{", None, b""],
    )
    @pytest.mark.slow
    def test_lost_secrets_are_made_anew_and_the_data_stay(
        self, platform: Checkout, content: bytes | None
    ) -> None:
        path, state, before = platform.var / "secrets.json", platform.state, platform.secrets
        assert state.postgres
        assert state.cache
        with platform.connect() as connection:
            connection.execute("INSERT INTO teams VALUES (1, 'Atlanta', 'Hawks', 'ATL', '2026-02-11')")
        cache = client_of(state.cache.port, before.cache_password)
        cache.set("kept", 1)
        cache.config_rewrite()
        old = platform.dsn()
        path.unlink() if content is None else path.write_bytes(content)
        if content is None:
            kill(platform.pids()["postgres"])  # its own recovery comes first then
        assert any("all passwords are new" in action for action in platform.up().actions)
        assert set(platform.raw("secrets.json").values()).isdisjoint(structs.astuple(before))
        assert path.stat().st_mode & 0o777 == 0o600
        with platform.connect() as connection:
            assert connection.execute("DELETE FROM teams RETURNING tricode").fetchall() == [("ATL",)]
        works(platform)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(old)
        with pytest.raises(redis.AuthenticationError):
            client_of(state.cache.port, before.cache_password).ping()
        new = client_of(state.cache.port, platform.secrets.cache_password)
        assert new.delete("kept") == 1
        written = "".join(p.read_text(errors="replace") for p in (platform.var / "log").iterdir())
        with platform.connect("courtkeeper_admin") as connection:
            written += str(connection.execute("SELECT query FROM pg_stat_statements").fetchall())
        assert not any(secret in written for secret in platform.raw("secrets.json").values())
        assert platform.up().actions == []

    @pytest.mark.slow
    def test_the_wrong_secrets_say_what_mends_them(
        self, platform: Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = platform.var / "secrets.json"
        path.write_text(path.read_text().replace(platform.secrets.database_admin_password, "x"))
        with monkeypatch.context() as patch:
            patch.setattr(Postgres, "start_timeout_s", 5.0)
            patch.setattr(PostgresPart, "start_timeout_s", 5.0)
            patch.setattr(supervisor, "_HUNG_S", 0.1)
            with pytest.raises(CourtkeeperError, match=r"secrets\.json: .* or remove it and run"):
                platform.up()
        path.unlink()
        platform.up()
        works(platform)

    def test_a_lost_password_of_a_role_is_set_again(self, platform: Checkout) -> None:
        with platform.connect("courtkeeper_admin") as connection:
            connection.execute("ALTER ROLE courtkeeper PASSWORD 'something else'")
        assert "set the password of role courtkeeper" in platform.up().actions
        works(platform)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "there", ["secrets.json", "postgres/data.part-*", "postgres/data", "feed.json", "log/api.log"]
    )
    def test_a_first_up_killed_halfway_is_finished_by_the_next(self, checkout: Checkout, there: str) -> None:
        """Killed as soon as something is there: each is what one part of its work begins or ends with."""
        child = subprocess.Popen(
            [sys.executable, "-c", "from courtkeeper.cli import main; main()", "platform", "up", "--feed",
             "simulated", "--root", str(checkout.root)],
            env={**os.environ, "PYTHONPATH": str(LIBRARY)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: any(checkout.var.glob(there)))
        finally:
            child.kill()
            child.wait()
        checkout.up()
        works(checkout)


class TestOtherPeoplesProcesses:
    @pytest.mark.slow
    def test_a_reused_pid_is_neither_believed_nor_killed(self, platform: Checkout) -> None:
        platform.down()
        with subprocess.Popen(["sleep", "600"]) as bystander:
            try:
                forged = {
                    name: {"identity": {"pid": bystander.pid, "started": 1, "boot": "x"}, "fingerprint": ""}
                    for name in PARTS
                }
                content = {"root": str(platform.root), "parts": forged}
                (platform.var / "processes.json").write_text(json.dumps(content))
                assert set(statuses(platform).values()) == {Health.DOWN}
                assert platform.down() == []
                platform.up()
                assert bystander.poll() is None
                works(platform)
            finally:
                bystander.kill()

    @pytest.mark.slow
    def test_a_stale_pid_file_that_names_a_living_process(self, platform: Checkout) -> None:
        account = processes.unprivileged_account()
        user = {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}
        kill(platform.pids()["postgres"])
        assert platform.state.postgres
        pid_file = Path(platform.state.postgres.data, "postmaster.pid")
        lines = pid_file.read_text().splitlines()
        with subprocess.Popen(["sleep", "600"], cwd="/", **user) as bystander:
            try:
                pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]) + "\n")
                platform.up()
                assert bystander.poll() is None
                works(platform)
            finally:
                bystander.kill()

    @pytest.mark.slow
    def test_a_port_taken_meanwhile_is_given_up(self, platform: Checkout) -> None:
        platform.down()
        before = platform.raw("settings.json")["ports"]
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind(("127.0.0.1", before["postgres"]))
            squatter.listen()
            outcome = platform.up()
            after = platform.raw("settings.json")["ports"]
            assert any("is taken by somebody else" in action for action in outcome.actions)
            assert {name for name in PARTS if before[name] != after[name]} == {"postgres"}
            works(platform)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", PARTS)
    def test_a_port_lost_between_choosing_and_listening(
        self, platform: Checkout, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platform.down()
        port = platform.raw("settings.json")["ports"][name]
        calls = iter([True])
        monkeypatch.setattr(supervisor, "is_free", lambda p: next(calls, False) if p == port else is_free(p))
        with socket.socket() as squatter:
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            squatter.bind(("127.0.0.1", port))
            squatter.listen()
            platform.up()
        assert platform.raw("settings.json")["ports"][name] != port
        works(platform)

    @pytest.mark.slow
    def test_a_copy_of_a_running_checkout_does_not_touch_the_original(self, platform: Checkout) -> None:
        with new_checkout("copy") as copy:
            copy.var.parent.mkdir()
            copy.var.mkdir()
            for name in ("processes.json", "settings.json"):
                (copy.var / name).write_bytes((platform.var / name).read_bytes())
            assert copy.down() == []
            assert platform.up().actions == []
            copy.up()
            assert set(copy.raw("settings.json")["ports"].values()).isdisjoint(
                platform.raw("settings.json")["ports"].values()
            )
            works(platform)

    @pytest.mark.slow
    def test_two_checkouts_side_by_side_from_the_first_moment(self) -> None:
        with new_checkout("one") as one, new_checkout("two") as two, ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(cli, "platform", "up", "--feed", "simulated", "--root", c.root)
                for c in (one, two)
            ]
            for job in jobs:
                assert job.result().returncode == 0, job.result().stderr
            works(one)
            works(two)
            one.down()
            assert processes_of(one.root) == []
            works(two)

    @pytest.mark.slow
    def test_two_ups_of_one_checkout_at_once(self, platform: Checkout) -> None:
        platform.down()
        with ThreadPoolExecutor() as pool:
            jobs = [
                pool.submit(cli, "platform", "up", "--feed", "simulated", "--root", platform.root, "--json")
                for _ in range(3)
            ]
            results = [job.result() for job in jobs]
        assert [r.returncode for r in results] == [0, 0, 0], [r.stderr for r in results]
        answers = [json.loads(r.stdout) for r in results]
        assert sorted(answer["changed"] for answer in answers) == [False, False, True]
        assert answers[0]["state"] == answers[1]["state"] == answers[2]["state"]
        works(platform)


class TestDown:
    def test_nothing_stays(self, platform: Checkout) -> None:
        with platform.connect():  # a client that does not let go
            pids = platform.pids()
            platform.down()
        assert not any(processes.identify(pid) for pid in pids.values())
        assert processes_of(platform.root) == []
        assert all(is_free(port) for port in platform.raw("settings.json")["ports"].values())
        assert not (platform.var / "state.json").exists()
        with pytest.raises(ConfigurationError, match="is not up"):
            assert platform.state

    @pytest.mark.slow
    def test_nothing_stays_when_a_part_hangs(self, platform: Checkout) -> None:
        for pid in platform.pids().values():
            os.kill(pid, signal.SIGSTOP)
        platform.down()
        assert processes_of(platform.root) == []

    @pytest.mark.slow
    def test_nothing_stays_when_postgres_was_killed_at_work(self, platform: Checkout) -> None:
        with platform.connect() as connection:
            connection.execute("SELECT 1")
            os.kill(platform.pids()["postgres"], signal.SIGKILL)
            platform.down()
        assert processes_of(platform.root) == []

    @pytest.mark.slow
    def test_nothing_stays_when_the_secrets_are_lost(self, platform: Checkout) -> None:
        kept = platform.var / "kept"
        (platform.var / "secrets.json").rename(kept)
        try:
            platform.down()
            assert processes_of(platform.root) == []
        finally:
            kept.rename(platform.var / "secrets.json")

    def test_where_nothing_ever_was(self, checkout: Checkout) -> None:
        assert checkout.down() == []
        assert set(statuses(checkout).values()) == {Health.DOWN}
        assert list(checkout.root.iterdir()) == [checkout.root / "ansible.cfg"]

    def test_remove_data(self, checkout: Checkout) -> None:
        checkout.up(parts=("cache",))
        checkout.down(remove_data=True)
        assert not checkout.var.exists()


class TestCommandLine:
    def test_status_tells_each_part(self, platform: Checkout) -> None:
        done = cli("platform", "status", "--root", platform.root)
        assert done.returncode == 0
        assert done.stdout.count(" up ") == len(PARTS)
        kill(platform.pids()["feed"])
        done = cli("platform", "status", "--json", "--root", platform.root)
        assert done.returncode == 1
        found = json.loads(done.stdout)
        assert found["status"] == "degraded"
        assert {part["name"]: part["status"] for part in found["parts"]} == {
            "postgres": "up", "cache": "up", "feed": "down", "api": "up"
        }  # fmt: skip

    @pytest.mark.slow
    def test_root_is_found_from_below(self, platform: Checkout) -> None:
        below = platform.root / "some" / "where"
        below.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", "from courtkeeper.cli import main; main()", "platform", "status"],
            env={**os.environ, "PYTHONPATH": str(LIBRARY)}, cwd=below, check=False, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0
        done = cli("platform", "status", COURTKEEPER_ROOT=str(platform.root))
        assert done.returncode == 0

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["up"], "is in no checkout of courtkeeper"),
            (["up", "--root", "/nowhere"], "no directory"),
            (["up", "--root", "ROOT", "--postgres-bin", "/usr"], "it is no Postgres"),
            (["up", "--root", "ROOT", "--postgres-bin", "/nowhere"], "no directory"),
            (["up", "--root", "ROOT", "--recorded", "/usr"], "holds no directory `recorded`"),
            (["up", "--root", "ROOT", "--feed", "recorded"], "There are no recorded responses"),
            (["up", "--root", "ROOT", "--feed", "live"], "Invalid value"),
        ],
    )
    def test_wrong_usage_starts_nothing(
        self, checkout: Checkout, arguments: list[str], sentence: str
    ) -> None:
        words = [str(checkout.root) if word == "ROOT" else word for word in arguments]
        done = cli("platform", *words, COURTKEEPER_RECORDED="")
        assert done.returncode == 2
        assert sentence in " ".join(done.stderr.split())
        assert processes_of(checkout.root) == []

    @pytest.mark.slow
    def test_down_says_what_it_did(self, platform: Checkout) -> None:
        done = cli("platform", "down", "--root", platform.root, "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout)["changed"] is True
        done = cli("platform", "down", "--root", platform.root)
        assert "was down already" in done.stdout


@pytest.mark.slow
def test_a_part_that_cannot_start_is_explained(platform: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(platform.pids()["api"])
    monkeypatch.setattr("courtkeeper.platform.parts.ApiPart.module", "courtkeeper.platform.nothing_here")
    with pytest.raises(CourtkeeperError, match=r"The API ended while starting: .*nothing_here.*api\.log"):
        platform.up()
