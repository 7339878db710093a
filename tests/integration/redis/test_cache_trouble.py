"""The upkeep of a cache where something is in its way: it waits, stops, says so, and loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.connection import AbstractConnection
from redis.exceptions import ResponseError

from courtkeeper.findings import ConfigurationError, CourtkeeperError, Status
from courtkeeper.redis.upkeep.run import upkeep
from courtkeeper.redis.upkeep.settings import upkeep_settings_from
from courtkeeper.redis.upkeep.state import Memory
from support import cache
from support.cache import EVENTS, count, declared, fill, keys, one, run
from support.forks import Ended, forked
from support.redis import Server, cluster, replica, server, wait_for

pytestmark = pytest.mark.slow

SPIN = "local x = 0 for i = 1, ARGV[1] do x = x + i end return x"


@pytest.fixture
def cached(kind: str, tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path, kind, {"enable-debug-command": "yes", "maxmemory": "512mb"}) as made:
        yield made


@contextmanager
def slow(made: Server, turns: int) -> Iterator[None]:
    """Let a script take the server's time, `turns` of a loop at a go, for as long as this lasts."""
    over, begun = threading.Event(), threading.Event()

    def load() -> None:
        with made.client() as client:
            while not over.is_set():
                client.eval(SPIN, 0, turns)
                begun.set()

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert begun.wait(60)
        yield
    finally:
        over.set()
        thread.join(120)


class TestPace:
    def test_it_waits_for_a_slow_server_and_puts_the_rest_off(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path, latency_budget_ms=5, patience_s=1, share=1)
        fill(cached, 2000)
        with slow(cached, 5_000_000):
            done = run(cached, **told)
        assert done.metrics["backoffs"] > 3
        assert done.metrics["paused_s"] > 0.5
        assert done.metrics["round_trip_p99_ms"] > 10
        put_off = one(done, "put_off")
        assert put_off.status is Status.SKIPPED
        assert "did not get quieter" in put_off.summary
        with cached.client() as client:  # what was begun is small, and nothing else was touched
            limited = sum(client.ttl(f"api:game:{number:010}:events") > 0 for number in range(2000))
        assert limited == done.metrics["keys_given_ttl"] < 2000
        after = run(cached, **declared(tmp_path))
        assert after.metrics["keys_given_ttl"] + limited == 2000 or after.metrics["keys_given_ttl"] > 0
        run(cached, **declared(tmp_path))  # the first walk went on from where the slow one stopped
        assert not run(cached, **declared(tmp_path)).changed

    def test_it_goes_on_when_the_server_is_quiet_again(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path, latency_budget_ms=20, patience_s=30, share=1)
        fill(cached, 2000)
        naps = threading.Thread(target=lambda: [cached.do("DEBUG", "SLEEP", "0.2") for _ in range(5)])

        def begun(_done: int, _total: int, text: str) -> None:
            if text.startswith("every key: ") and naps.ident is None:
                naps.start()

        done = run(cached, progress=begun, **{**told, "batch": 20})
        naps.join(120)
        assert done.metrics["keys_given_ttl"] == 2000
        assert done.metrics["backoffs"] >= 1

    def test_a_script_that_blocks_the_server_is_waited_for(self, kind: str, tmp_path: Path) -> None:
        with server(tmp_path, kind, {"busy-reply-threshold": "20"}) as made:
            fill(made, 500)
            script = threading.Thread(target=lambda: made.client().eval(SPIN, 0, 300_000_000))

            def begun(_done: int, _total: int, text: str) -> None:
                if text.startswith("every key") and script.ident is None:
                    script.start()
                    wait_for(lambda: _refused(made))

            done = run(made, progress=begun, **declared(tmp_path, patience_s=60))
            script.join(120)
            assert done.metrics["keys_given_ttl"] == 500
            assert done.metrics["backoffs"] >= 1

    def test_no_batch_is_larger_than_told_and_no_command_holds_the_server(
        self, cached: Server, tmp_path: Path
    ) -> None:
        fill(cached, 3000)
        run(cached, **declared(tmp_path))
        count(cached, EVENTS, hits=0, misses=1000)
        cached.do("CONFIG", "RESETSTAT")
        done = run(cached, **declared(tmp_path, batch=100))
        assert done.metrics["keys_removed"] == 3000
        used = cached.client().info("commandstats")
        assert not {"cmdstat_keys", "cmdstat_multi", "cmdstat_exec", "cmdstat_del"} & used.keys()
        assert used["cmdstat_scan"]["calls"] >= 60
        # On average: one command is long where the machine takes the processor away from the server.
        assert all(one["usec_per_call"] < 20_000 for one in used.values())


def _refused(made: Server) -> bool:
    try:
        made.do("GET", "x")
    except ResponseError as error:
        return str(error).startswith("BUSY")
    return False


CONFIGURATION = {"appendonly": "yes", "save": "3600 1", "enable-protected-configs": "yes"}
NOW = {"aof_growth_percent": 0, "aof_least_mb": 0, "snapshot_max_age_s": 0}


class TestPersistence:
    def test_both_are_watched_to_their_end_and_not_done_twice(self, kind: str, tmp_path: Path) -> None:
        with server(tmp_path, kind, CONFIGURATION) as made:
            fill(made, 500, ttl_s=500)
            told = declared(tmp_path, **NOW)
            planned = run(made, check_mode=True, **told)
            assert [action.split(":")[0] for action in planned.actions] == ["BGREWRITEAOF", "BGSAVE"]
            before = made.client().info("persistence")
            done = run(made, **told)
            assert [action.split(":")[0] for action in done.actions] == ["BGREWRITEAOF", "BGSAVE"]
            after = made.client().info("persistence")
            assert (after["aof_rewrite_in_progress"], after["rdb_bgsave_in_progress"]) == (0, 0)
            assert after["aof_current_size"] < before["aof_current_size"]
            assert (made.home / "dump.rdb").is_file()
            assert one(done, "snapshot").applied == "BGSAVE"
            again = run(made, **told)
            assert (again.changed, again.actions) == (False, [])

    def test_a_server_that_keeps_none_is_left_alone(self, cached: Server, tmp_path: Path) -> None:
        done = run(cached, **declared(tmp_path, **NOW))
        assert one(done, "aof_rewrite").status is one(done, "snapshot").status is Status.SKIPPED
        assert not done.changed

    def test_a_failure_is_a_finding_and_healed_by_the_next_run(self, kind: str, tmp_path: Path) -> None:
        with server(tmp_path, kind, CONFIGURATION | {"stop-writes-on-bgsave-error": "yes"}) as made:
            fill(made, 50)
            told = declared(tmp_path, **NOW)
            moved = made.home.with_name("moved")
            made.home.rename(moved)
            shutil.copytree(moved, tmp_path / "kept")
            shutil.rmtree(moved)  # root writes wherever there is a directory
            done = run(made, **told)
            failed = [found for found in done.findings if found.status is Status.CRIT]
            assert {found.id for found in failed} == {"redis.upkeep.aof_rewrite", "redis.upkeep.snapshot"}
            assert all(str(made.home.name) in found.fix or "write to" in found.fix for found in failed)
            assert [action for action in done.actions if action.startswith("BG")] == []

            shutil.copytree(tmp_path / "kept", made.home)
            made.do("CONFIG", "SET", "dir", str(made.home))
            healed = run(made, **told)
            assert one(healed, "snapshot").status is Status.OK
            assert "the last one failed" in one(healed, "snapshot").summary

    def test_a_server_that_takes_no_writes_keeps_its_keys(self, kind: str, tmp_path: Path) -> None:
        with server(tmp_path, kind, {"save": "3600 1"}) as made:
            fill(made, 50)
            told = declared(tmp_path)
            run(made, **{**told, "duties": ["hit_rates"]})
            count(made, EVENTS, hits=0, misses=500)
            shutil.rmtree(made.home)
            made.do("BGSAVE")
            wait_for(lambda: made.client().info("persistence")["rdb_last_bgsave_status"] == "err")
            done = run(made, **told)
            assert "takes no writes" in one(done, "put_off").summary
            assert one(done, "snapshot").status is Status.CRIT
            assert keys(made, EVENTS) == 50

    def test_one_that_does_not_end_is_told(self, kind: str, tmp_path: Path) -> None:
        slow_save = {**CONFIGURATION, "rdb-key-save-delay": "200000"}
        with server(tmp_path, kind, slow_save) as made:
            fill(made, 50)
            told = declared(tmp_path, **NOW, persistence_timeout_s=1, duties=["snapshot"])
            done = run(made, **told)
            assert one(done, "snapshot").status is Status.WARN
            assert "still runs after" in one(done, "snapshot").summary

    @pytest.mark.parametrize(("delay_us", "status"), [(20_000, Status.OK), (200_000, Status.SKIPPED)])
    def test_a_snapshot_waits_for_a_rewrite_that_the_server_is_at(
        self, kind: str, tmp_path: Path, delay_us: int, status: Status
    ) -> None:
        with server(tmp_path, kind, {**CONFIGURATION, "rdb-key-save-delay": str(delay_us)}) as made:
            fill(made, 50)
            made.do("BGREWRITEAOF")
            wait_for(lambda: made.client().info("persistence")["aof_rewrite_in_progress"] == 1)
            made.do("CONFIG", "SET", "rdb-key-save-delay", "0")  # for the snapshot
            timeout_s = 60 if status is Status.OK else 1
            told = declared(tmp_path, **NOW, persistence_timeout_s=timeout_s, duties=["snapshot"])
            done = run(made, **told)
            assert one(done, "snapshot").status is status
            assert done.changed is (status is Status.OK)


class TestMemory:
    def test_an_alert_at_eighty_percent(self, cached: Server, tmp_path: Path) -> None:
        cached.do("SET", "big", "x" * 8_000_000)
        cached.do("CONFIG", "SET", "maxmemory-policy", "noeviction")
        for limit, status in ((100_000_000, Status.OK), (11_500_000, Status.WARN), (9_500_000, Status.CRIT)):
            cached.do("CONFIG", "SET", "maxmemory", limit)
            found = one(run(cached, **declared(tmp_path, duties=["memory"])), "memory")
            assert found.status is status, found
            assert ("writes are refused" in found.summary) is (status is not Status.OK)

    def test_memory_is_given_back_and_measured_or_skipped(self, kind: str, tmp_path: Path) -> None:
        # What works in the background gives memory back by itself, in a while.
        keeps = {"jemalloc-bg-thread": "no", "enable-debug-command": "yes"}
        with server(tmp_path, kind, keeps) as made:
            told = declared(tmp_path, duties=["memory_purge"], purge_over_mb=1, purge_over_ratio=1)
            with made.client() as client:
                for first in range(0, 60_000, 1000):
                    with client.pipeline(transaction=False) as pipe:
                        for number in range(first, first + 1000):
                            pipe.set(f"k:{number}", "x" * 1000)
                        pipe.execute()
                for first in range(0, 60_000, 1000):  # FLUSHALL purges by itself
                    client.delete(*(f"k:{number}" for number in range(first, first + 1000)))
            done = run(made, **told)
            found = one(done, "memory_purge")
            if "jemalloc" not in made.client().info("memory")["mem_allocator"]:
                assert found.status is Status.SKIPPED
                assert "jemalloc" in found.summary
                return
            assert done.metrics["bytes_purged"] > 0, found.summary
            assert found.applied == "MEMORY PURGE"
            assert "before and" in found.summary


class TestTopology:
    def test_a_replica_is_only_looked_at(self, cached: Server, tmp_path: Path) -> None:
        fill(cached, 100)
        with replica(tmp_path, cached) as copy:
            told = declared(tmp_path)
            run(copy, **told)
            count(cached, EVENTS, hits=0, misses=500)
            wait_for(lambda: copy.do("HGET", cache.COUNTERS, f"miss:{EVENTS}") == "500")
            done = run(copy, **told)
            assert (done.changed, keys(copy, EVENTS)) == (False, 100)
            assert one(done, "hit_rate").observed == 0.0
            found = one(done, "replica")
            assert found.status is Status.SKIPPED
            assert f"{cached.host}:{cached.port}" in found.summary
            writes = {"cmdstat_unlink", "cmdstat_expire", "cmdstat_bgsave"}
            assert not writes & cached.client().info("commandstats").keys()

    def test_each_node_of_a_cluster_keeps_its_own_slots(self, kind: str, tmp_path: Path) -> None:
        with cluster(tmp_path, kind) as nodes:
            for number in range(300):
                _on_its_node(nodes, f"api:game:{number}:events")
            for node in nodes:
                mine = keys(node, EVENTS)
                done = run(node, **declared(tmp_path))
                assert done.metrics["keys_given_ttl"] == mine > 0
                assert not run(node, **declared(tmp_path)).changed

    def test_a_sentinel_is_refused(self, cached: Server, tmp_path: Path) -> None:
        watch = {"sentinel": f"monitor here {cached.host} {cached.port} 1"}
        with (
            server(tmp_path, cached.kind, watch, name="sentinel", password="", sentinel=True) as watcher,
            pytest.raises(ConfigurationError, match="is a Sentinel"),
        ):
            run(watcher, **declared(tmp_path))


def _on_its_node(nodes: list[Server], key: str) -> None:
    for node in nodes:
        try:
            node.do("SET", key, "x")
        except ResponseError:
            continue
        return
    pytest.fail(f"no node has {key}")


class TestBadInput:
    @pytest.mark.parametrize(
        ("told", "sentence"),
        [
            ({"patterns": [{"pattern": "*"}]}, r"patterns\[0\].pattern is '\*', which begins with \*"),
            ({"patterns": [{"pattern": "*:events"}]}, "which begins with"),
            ({"patterns": [{"pattern": ""}]}, "is no pattern"),
            ({"patterns": [{"pattern": "a\n*"}]}, "is no pattern"),
            ({"patterns": [{"pattern": "a[bc]*"}]}, r"\[ is special to the server"),
            ({"patterns": [{"pattern": "api:*"}]}, "keys in common with the protected 'api:generation:"),
            ({"patterns": [{"pattern": "api:gen*:1"}]}, "keys in common with the protected"),
            (
                {"patterns": [{"pattern": "api:cache:*"}]},
                "keys in common with the protected 'api:cache:counters'",
            ),
            ({"patterns": [{"pattern": "a:*"}, {"pattern": "a:*:b"}]}, "declared once"),
            ({"patterns": [{"pattern": "a:*", "ttl_s": -1}]}, r"patterns\[0\].ttl_s is -1"),
            ({"patterns": [{"pattern": "a:*", "ttl": 5}]}, "ttl"),
            ({"patterns": "a:*"}, "patterns"),
            ({"counters": ["c:*"]}, "name one hash"),
            ({"duties": ["tidy"]}, "duties"),
            ({"least_hit_rate": 70}, "least_hit_rate is 70"),
            ({"batch": 0}, "batch is 0"),
            ({"share": 0}, "share is 0"),
            ({"memory_warn_percent": 99}, "memory_warn_percent is over memory_crit_percent"),
            ({"state_directory": "/dev/null/x"}, "state_directory"),
        ],
    )
    def test_settings_are_refused_by_their_key(self, told: dict[str, Any], sentence: str) -> None:
        given = {"protected": [cache.PROTECTED], "counters": [cache.COUNTERS], **told}
        with pytest.raises(ConfigurationError, match=sentence) as refused:
            upkeep_settings_from(given)
        assert "\n" not in str(refused.value)

    def test_a_wrong_password_is_one_sentence_without_it(self, cached: Server, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="refuses the password") as refused:
            run(cached, where={"password": "wrong-secret"}, **declared(tmp_path))
        assert "wrong-secret" not in str(refused.value)

    def test_a_user_without_rights_keeps_what_was_found(self, cached: Server, tmp_path: Path) -> None:
        cached.do("ACL", "SETUSER", "half", "on", ">half-secret", "~*", "+@read", "+@connection", "+info")
        fill(cached, 20)
        with pytest.raises(ConfigurationError, match="half may not do that") as refused:
            run(cached, where={"user": "half", "password": "half-secret"}, **declared(tmp_path))
        assert refused.value.partial
        assert not refused.value.partial.changed


class TestBrokenOff:
    def test_a_server_that_dies_keeps_what_was_done(self, cached: Server, tmp_path: Path) -> None:
        fill(cached, 5000)
        told = declared(tmp_path, share=0.2, batch=20, sample_keys=0)
        failed: list[CourtkeeperError] = []

        def work() -> None:
            with pytest.raises(CourtkeeperError) as raised:
                run(cached, **told)
            failed.append(raised.value)

        thread = threading.Thread(target=work)
        thread.start()
        wait_for(lambda: "cmdstat_expire" in cached.client().info("commandstats"))
        cached.kill()
        thread.join(120)
        (error,) = failed
        assert len(str(error).splitlines()) == 1
        assert error.partial
        assert 0 < error.partial.metrics["keys_given_ttl"] < 5000
        assert error.partial.changed
        assert error.partial.actions

    def test_two_at_once_do_not_meet(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path)
        run(cached, **told)
        with Memory(told["state_directory"], cached.settings().where).alone() as alone:
            assert alone
            done = run(cached, **told)
        assert one(done, "alone").status is Status.SKIPPED
        assert not done.changed

    @pytest.mark.slow
    def test_killed_anywhere_and_run_again_nothing_is_lost(self, cached: Server, tmp_path: Path) -> None:
        told = {**declared(tmp_path, batch=50, sample_keys=30), "share": 1.0, "latency_budget_ms": 5000}
        told["patterns"] = [*told["patterns"], {"pattern": "page:*", "ttl_s": 900}]
        run(cached, **{**told, "duties": ["hit_rates"]})
        trips = self._kill_and_look(cached, told, -1)
        assert trips > 40
        # The last trips are left out: how often the background work is looked at differs from run to run.
        for chosen in range(2, trips - 15, max(1, trips // 12)):
            self._kill_and_look(cached, told, chosen)

    def _kill_and_look(self, cached: Server, told: dict[str, Any], chosen: int) -> int:
        """Kill an upkeep with much to do at a round trip, run it again, and see that all is well."""
        count(cached, EVENTS, hits=0, misses=500)
        fill(cached, 200)
        with cached.client() as client:
            client.mset({f"page:{number}": "x" for number in range(100)})
        done = _killed(cached, told, chosen)
        if chosen >= 0:
            assert done.returncode == -signal.SIGKILL
            run(cached, **told)
            again = run(cached, **told)
            assert (again.changed, again.actions) == (False, []), f"after a kill at {chosen}"
        assert keys(cached, EVENTS) == 0
        assert keys(cached, cache.PROTECTED) == 200
        assert not any(cached.do("TTL", f"api:generation:{number:010}") != -1 for number in range(200))
        assert cached.do("TTL", cache.COUNTERS) == -1
        assert min(cached.do("TTL", f"page:{number}") for number in range(100)) > 0
        return int(done.told or -1)


def _killed(cached: Server, told: dict[str, Any], chosen: int) -> Ended:
    """An upkeep that dies at a round trip, half of them before it is sent and half right after.

    With -1 it runs to its end and tells how many round trips there were.
    """

    def work() -> int:
        trips, send = 0, AbstractConnection.send_packed_command

        def counted(self: AbstractConnection, *arguments: Any, **more: Any) -> None:
            nonlocal trips
            if trips == chosen:
                if trips % 2:
                    send(self, *arguments, **more)
                os.kill(os.getpid(), signal.SIGKILL)
            trips += 1
            send(self, *arguments, **more)

        AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
        upkeep(cached.settings(), upkeep_settings_from(told))
        return trips

    done = forked(work)
    assert done.returncode in (0, -signal.SIGKILL)
    return done
