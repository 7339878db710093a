"""Changing real servers: planned as it is done, kept only where nothing is worse, and done once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import redis

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.platform.ports import free_port
from courtkeeper.redis.tuning.change import Tools
from courtkeeper.redis.tuning.node import Node
from courtkeeper.redis.tuning.plan import Change
from courtkeeper.redis.tuning.probe import ask
from courtkeeper.redis.tuning.run import tune
from support.certificates import DAY, make
from support.redis import Server, replica, server
from support.tuning import calls, digest, found, left_behind, load, told, tuned, values

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path, kind: str) -> Iterator[Server]:
    with server(tmp_path, kind) as made:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_the_second_run_changes_nothing_and_writes_nothing(running: Server, state: Path) -> None:
    parameters = {
        "maxmemory": "1gb",
        "notify-keyspace-events": "KEA",
        "client-output-buffer-limit": "replica 1gb 1mb 60",
        "hz": 5000,
        "save": [3600, 1],
        "hash-max-ziplist-entries": 256,
    }
    first = tuned(running, state, profile="queue", parameters=parameters)
    assert first.changed
    (kept,) = found(first, "applied")
    assert "CONFIG REWRITE" in kept.applied
    assert "maxmemory 0" in kept.undo
    text = running.config.read_text()
    assert "maxmemory 1gb" in text or "maxmemory 1073741824" in text
    before = calls(running, "config|rewrite"), calls(running, "config|set"), digest(running), values(running)
    assert before[0] == 1
    second = tuned(running, state, profile="queue", parameters=parameters)
    assert not second.changed
    assert not second.actions
    assert not second.diff
    after = calls(running, "config|rewrite"), calls(running, "config|set"), digest(running), values(running)
    assert after == before
    assert not left_behind(state)
    running.stop()
    running.start()
    assert not tuned(running, state, profile="queue", parameters=parameters).changed


@pytest.mark.parametrize("profile", ["cache", "session", "queue", "persistent"])
def test_check_mode_shows_what_is_then_done(running: Server, state: Path, profile: str) -> None:
    before = values(running), digest(running)
    shown = tuned(running, state, profile=profile, check_mode=True)
    assert (values(running), digest(running)) == before
    assert not state.exists() or not list(state.iterdir())
    assert calls(running, "config|rewrite") == 0
    done = tuned(running, state, profile=profile)
    assert shown.changed
    assert done.changed
    assert shown.diff == done.diff
    assert [a for a in shown.actions if "set " in a] == [a for a in done.actions if "set " in a]
    for change in done.details["tuning"]["nodes"][0]["changes"]:
        assert values(running)[change["name"]] == change["after"]
    assert not tuned(running, state, profile=profile).changed
    assert not tuned(running, state, profile=profile, check_mode=True).changed


def test_the_check_finds_what_differs_and_sets_nothing(running: Server, state: Path) -> None:
    before = values(running), digest(running)
    result = tuned(running, state, mode="check", profile="cache", parameters={"tcp-backlog": 128, "hz": 20})
    assert (values(running), digest(running)) == before
    assert not result.changed
    assert {f.subject.split()[1] for f in found(result, "differs")} >= {"maxmemory-policy", "hz"}
    (restart,) = found(result, "needs_restart")
    assert "taken at a start only" in restart.summary
    assert found(result, "maxmemory")
    (left_out,) = found(result, "unsupported")  # neither build has the allocator for it
    assert left_out.status is Status.SKIPPED
    assert "activedefrag" in left_out.subject


def test_asking_whether_a_server_would_take_it_leaves_no_trace(running: Server) -> None:
    """Every parameter of the server, with its own value and with another: nothing is set, ever."""
    node = Node(running.settings())
    before = node.config()
    odd = {"yes": "no", "no": "yes", "0": "7"}
    changes = [
        Change(name, value, odd.get(value, value)) for name, value in sorted(before.items()) if name != "hz"
    ]
    answer = ask(node, changes)
    assert node.config() == before
    assert {c.name for c in answer.restart} >= {"tcp-backlog", "databases"}
    assert "activedefrag" in {c.name for c, _ in answer.refused}
    assert {c.name for c in answer.possible} >= {"save", "maxmemory-samples", "lazyfree-lazy-expire"}
    node.close()


def fill(running: Server) -> None:
    """Some 20 MB of keys that nobody asks for."""
    with running.client() as client, client.pipeline(transaction=False) as pipe:
        for n in range(20_000):
            pipe.set(f"old:{n}", "x" * 900)
        pipe.execute()


def test_a_policy_that_evicts_under_load_is_taken_back(running: Server, state: Path) -> None:
    running.do("CONFIG", "SET", "maxmemory", "24mb", "maxmemory-policy", "noeviction")
    running.do("CONFIG", "REWRITE")
    fill(running)

    def write(client: redis.Redis, n: int) -> None:
        with client.pipeline(transaction=False) as pipe:
            for one in range(50):
                pipe.set(f"new:{n}:{one}", "x" * 1000)
            pipe.execute(raise_on_error=False)

    before = values(running), digest(running)
    gate = {"observe_s": 2.0, "evictions_s": 10}
    with load(running, write):
        result = tuned(running, state, parameters={"maxmemory-policy": "allkeys-random"}, gate=gate)
    (crit,) = found(result, "regressed")
    assert crit.status is Status.CRIT
    assert "evictions a second" in crit.summary
    assert "taken back" in crit.summary
    assert "CONFIG SET maxmemory-policy noeviction" in crit.applied
    assert "old values are back" in crit.undo
    assert "worse and was taken back" in result.msg
    assert not result.changed
    assert (values(running), digest(running)) == before
    assert not left_behind(state)


def test_a_value_that_raises_the_percentile_under_load_is_taken_back(running: Server, state: Path) -> None:
    """Hashes of 2000 fields as one flat list: each HGET reads through it."""
    running.do("CONFIG", "SET", "hash-max-listpack-entries", "16", "hash-max-listpack-value", "64")
    fields = {f"field{n}": n for n in range(2000)}

    def work(client: redis.Redis, n: int) -> None:
        with client.pipeline(transaction=False) as pipe:
            if n % 20 == 0:
                pipe.delete(f"hash:{n // 20 % 3}")
                pipe.hset(f"hash:{n // 20 % 3}", mapping=fields)
            for one in range(400):
                pipe.hget(f"hash:{one % 3}", f"field{1000 + one}")
            pipe.execute()

    before = values(running)
    gate = {"observe_s": 3.0, "settle_s": 0.5, "p99_ratio": 1.5, "p99_floor_us": 3, "min_calls": 500}
    with load(running, work):
        result = tuned(running, state, parameters={"hash-max-ziplist-entries": 5000}, gate=gate)
    (crit,) = found(result, "regressed")
    assert "99th percentile" in crit.summary
    assert not result.changed
    assert values(running) == before
    assert calls(running, "config|rewrite") == 0


def test_a_change_that_does_no_harm_is_kept_under_load(running: Server, state: Path) -> None:
    def work(client: redis.Redis, n: int) -> None:
        with client.pipeline(transaction=False) as pipe:
            for one in range(100):
                pipe.get(f"key:{one}")
            pipe.execute()

    with load(running, work):
        result = tuned(
            running, state, parameters={"maxmemory-samples": 10}, gate={"observe_s": 1.0, "min_calls": 100}
        )
    assert result.changed
    assert not found(result, "unjudged")
    assert "99th percentile of commands" in str(result.details["tuning"]["nodes"][0]["measures"])


def test_a_server_without_load_is_not_said_to_be_well(running: Server, state: Path) -> None:
    result = tuned(running, state, parameters={"maxmemory-samples": 10})
    (unknown,) = found(result, "unjudged")
    assert unknown.status is Status.UNKNOWN


def test_an_error_while_watching_takes_the_change_back(running: Server, state: Path) -> None:
    before = values(running), digest(running)

    def trace(step: str) -> None:
        if step == "judged":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(running, state, parameters={"hz": 50}, tools=Tools(trace=trace))
    assert (values(running), digest(running)) == before
    assert not left_behind(state)


def test_a_file_that_cannot_be_written_takes_the_change_back(running: Server, state: Path) -> None:
    before = values(running)
    running.config.unlink()
    running.config.mkdir()
    with pytest.raises(CourtkeeperError, match="the old values are back"):
        tuned(running, state, parameters={"hz": 50})
    assert values(running) == before
    assert not left_behind(state)


@pytest.mark.parametrize("step", ["set", "rewritten"])
def test_a_way_back_that_cannot_be_forgotten_is_taken_all_the_same(
    running: Server, state: Path, tmp_path: Path, step: str
) -> None:
    before = values(running, "maxmemory-samples")

    def trace(now: str) -> None:
        if now == step:
            state.rename(tmp_path / "unmounted")
            if step == "set":
                raise CourtkeeperError("watching failed")

    with pytest.raises(CourtkeeperError, match=r"the old values are back on .* cannot be removed") as told:
        tuned(running, state, tools=Tools(trace=trace), parameters={"maxmemory-samples": 9})
    assert "could not be set again" not in str(told.value)
    assert values(running, "maxmemory-samples") == before
    (tmp_path / "unmounted").rename(state)
    assert not tuned(running, state, parameters=before).changed
    assert not left_behind(state)


def test_a_server_that_is_lost_meanwhile_keeps_its_way_back(running: Server, state: Path) -> None:
    def trace(step: str) -> None:
        if step == "set":
            running.pause()

    settings = msgspec.structs.replace(running.settings(), timeout_s=2)
    with pytest.raises(CourtkeeperError, match="the next run sets them first"):
        tune(settings, told(state, parameters={"hz": 50}), tools=Tools(trace=trace))
    assert left_behind(state)
    running.resume()
    assert values(running, "hz") == {"hz": "50"}
    result = tuned(running, state, parameters={"maxmemory-samples": 10})
    assert values(running, "hz") == {"hz": "10"}
    assert "set hz back" in found(result, "interrupted")[0].summary
    assert not left_behind(state)


def test_a_file_written_by_others_meanwhile_is_put_right(running: Server, state: Path) -> None:
    """Sentinel has a server write its file when it makes it a master."""

    def trace(step: str) -> None:
        if step == "set":
            running.do("CONFIG", "REWRITE")
        if step == "judged":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(running, state, parameters={"hz": 50}, tools=Tools(trace=trace))
    assert "hz 50" not in running.config.read_text()


REFUSED = [
    ({"nosuch": 1}, "has no parameter nosuch"),
    ({"tcp-backlog": 77}, "tcp-backlog of .* is taken at a start only"),
    ({"maxmemory": "1mb"}, "maxmemory 1048576 is below"),
    ({"maxmemory": "lots"}, "refuses maxmemory lots: argument must be a memory value"),
    ({"maxmemory-policy": "nosuch"}, "refuses maxmemory-policy"),
    ({"activedefrag": True}, "refuses activedefrag yes: active defragmentation cannot be enabled"),
    ({"enable-debug-command": True}, "taken at a start only"),
    ({"requirepass": "hunter2"}, "requirepass holds a secret"),
    ({"dir": "/tmp"}, "dir says what the server is"),  # noqa: S108
]


@pytest.mark.parametrize(("parameters", "sentence"), REFUSED, ids=[next(iter(p)) for p, _ in REFUSED])
def test_what_cannot_be_is_refused_whole(
    running: Server, state: Path, parameters: dict[str, object], sentence: str
) -> None:
    fill(running)
    before = values(running), digest(running)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        tuned(running, state, profile="queue", parameters={"maxmemory-samples": 7} | parameters)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert (values(running), digest(running)) == before
    assert not left_behind(state)
    assert calls(running, "config|rewrite") == 0


def test_maxmemory_below_use_is_done_when_told(running: Server, state: Path) -> None:
    fill(running)
    parameters = {"maxmemory": "10mb", "maxmemory-policy": "allkeys-lru"}
    assert tuned(running, state, parameters=parameters, allow_eviction=True).changed
    assert running.do("DBSIZE") < 20_000


def test_a_server_without_a_file_is_changed_only_when_told(tmp_path: Path, kind: str, state: Path) -> None:
    with server(tmp_path, kind, config_file=False) as made:
        before = values(made)
        with pytest.raises(ConfigurationError, match="started without a file"):
            tuned(made, state, parameters={"hz": 50})
        assert values(made) == before
        result = tuned(made, state, parameters={"hz": 50}, persist=False)
        assert result.changed
        assert "does not survive a restart" in found(result, "not_persistent")[0].summary
        assert not tuned(made, state, parameters={"hz": 50}).changed


def test_a_server_that_cannot_be_entered_is_one_sentence(running: Server, state: Path) -> None:
    wish = told(state, parameters={"hz": 50})
    for more, sentence in (
        ({"password": "wrong"}, "refuses the password"),
        ({"password": ""}, "wants a password"),
        ({"tls": True, "timeout_s": 1.0}, "leave TLS out"),
        ({"port": 1}, "cannot be reached"),
    ):
        with pytest.raises(CourtkeeperError, match=sentence) as caught:
            tune(running.settings(**more), wish)
        assert "\n" not in str(caught.value)


def test_a_replica_given_for_its_master_is_refused_and_told_apart(
    running: Server, tmp_path: Path, state: Path
) -> None:
    with replica(tmp_path, running) as second:
        for parameters in ({"hz": 50}, {"replicaof": "no one"}):
            with pytest.raises(ConfigurationError) as caught:
                tuned(second, state, parameters=parameters)
            assert "\n" not in str(caught.value)
        assert values(running, "hz") == values(second, "hz") == {"hz": "10"}
        assert tuned(second, state, parameters={"hz": 50}, scope="node").changed
        assert (values(running, "hz"), values(second, "hz")) == ({"hz": "10"}, {"hz": "50"})


def test_a_server_that_is_loading_is_left_alone(tmp_path: Path, kind: str, state: Path) -> None:
    with server(tmp_path, kind) as made:
        fill(made)
        made.do("SAVE")
        made.stop()
        slow = "key-load-delay 2000\nloading-process-events-interval-bytes 1024\n"
        made.config.write_text(made.config.read_text() + slow)
        made.start(wait=False)
        made.wait(loading=True)
        with pytest.raises(CourtkeeperError, match="still loading"):
            tuned(made, state, parameters={"hz": 50})
        made.kill()


def test_a_server_that_wants_tls(tmp_path: Path, state: Path) -> None:
    """Only Debian's build speaks it."""
    made = make("localhost", names=("localhost",), start=datetime.now(UTC) - DAY)
    files = {"tls-cert-file": made.pem, "tls-key-file": made.key, "tls-ca-cert-file": made.pem}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    port = free_port()
    lines = {name: str(tmp_path / name) for name in files} | {"tls-port": str(port), "tls-auth-clients": "no"}
    with server(tmp_path, "redis", lines) as running:
        wish = told(state, parameters={"hz": 50})
        with pytest.raises(ConfigurationError, match="may want TLS"):
            tune(running.settings(port=port), wish)
        assert values(running, "hz") == {"hz": "10"}
        secured = running.settings(
            host="localhost", port=port, tls=True, ca_file=str(tmp_path / "tls-cert-file")
        )
        assert tune(secured, wish).changed


def test_a_user_who_may_not_is_told_the_grant(running: Server, state: Path) -> None:
    running.do("ACL", "SETUSER", "tuner", "on", ">secret", "+@connection", "+info", "+latency", "+config|get")
    before = values(running)
    with pytest.raises(ConfigurationError, match="ACL SETUSER") as caught:
        tune(running.settings(user="tuner", password="secret"), told(state, parameters={"hz": 50}))
    assert "\n" not in str(caught.value)
    assert values(running) == before
    running.do("ACL", "SETUSER", "tuner", "+config|set", "+config|rewrite")
    assert tune(running.settings(user="tuner", password="secret"), told(state, parameters={"hz": 50})).changed
