"""The upkeep of a cache on real servers: what goes, what gets an end, what stays whatever happens."""

from __future__ import annotations

import math
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from courtkeeper.findings import Status
from courtkeeper.redis.server import connect
from courtkeeper.redis.upkeep import walk
from courtkeeper.redis.upkeep.pace import Pace
from courtkeeper.redis.upkeep.run import upkeep
from courtkeeper.redis.upkeep.settings import Declared, UpkeepSettings
from support import cache
from support.cache import EVENTS, count, declared, fill, keys, one, run
from support.redis import Server, server, wait_for


@pytest.fixture
def cached(kind: str, tmp_path: Path) -> Iterator[Server]:
    """A server that may be told to keep what is past its time."""
    with server(tmp_path, kind, {"enable-debug-command": "yes", "maxmemory": "512mb"}) as made:
        yield made


def state(directory: Path) -> list[Path]:
    return sorted((directory / "state").glob("*.json"))


class TestHitRates:
    @pytest.mark.slow
    def test_a_pattern_that_is_asked_for_in_vain_goes_and_nothing_else(
        self, cached: Server, tmp_path: Path
    ) -> None:
        told = declared(tmp_path)
        fill(cached, 1500, ttl_s=600)
        count(cached, EVENTS, hits=900, misses=100)
        first = run(cached, **told)
        assert one(first, "hit_rate").status is Status.UNKNOWN
        assert "no earlier reading" in one(first, "hit_rate").summary
        assert not first.changed

        count(cached, EVENTS, hits=60, misses=140)
        planned = run(cached, check_mode=True, **told)
        assert planned.changed
        assert planned.actions == [f"remove 1,500 keys of {EVENTS} (30.0% of 200 requests were hits)"]
        assert keys(cached, EVENTS) == 1500

        done = run(cached, **told)
        assert done.actions == planned.actions
        assert done.metrics["keys_removed"] == 1500
        rate = one(done, "hit_rate")
        assert (rate.status, rate.observed, rate.threshold) == (Status.WARN, 0.3, 0.7)
        assert "measured by the application's counters" in rate.summary
        assert one(done, "removal").applied == "UNLINK of 1,500 keys"
        assert keys(cached, EVENTS) == 0
        assert keys(cached, cache.PROTECTED) == 1500

        fill(cached, 10)
        again = run(cached, **{**told, "duties": ["hit_rates", "removal"]})
        assert (again.changed, again.actions) == (False, [])
        assert "too few" in one(again, "hit_rate").summary
        assert keys(cached, EVENTS) == 10

    def test_a_pattern_that_was_not_declared_removable_stays(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path, patterns=[{"pattern": EVENTS, "ttl_s": 600}])
        fill(cached, 20, ttl_s=600)
        run(cached, **told)
        count(cached, EVENTS, hits=0, misses=500)
        done = run(cached, **told)
        assert one(done, "hit_rate").status is Status.WARN
        assert "declare it removable" in one(done, "hit_rate").fix
        assert (done.changed, keys(cached, EVENTS)) == (False, 20)

    def test_what_is_protected_stays_even_where_nobody_checked_the_settings(
        self, cached: Server, tmp_path: Path
    ) -> None:
        (tmp_path / "state").mkdir(mode=0o700)
        told = UpkeepSettings(
            patterns=(Declared(pattern="api:*", ttl_s=60, removable=True),),
            protected=(cache.PROTECTED,),
            counters=(cache.COUNTERS,),
            state_directory=str(tmp_path / "state"),
            **cache.QUICK,
        )
        fill(cached, 50)
        upkeep(cached.settings(), told)
        count(cached, EVENTS, hits=0, misses=500)
        done = upkeep(cached.settings(), told)
        assert done.metrics["keys_removed"] == 50
        assert keys(cached, cache.PROTECTED) == 50
        assert cached.do("TTL", "api:generation:0000000001") == cached.do("TTL", cache.COUNTERS) == -1

    def test_a_good_pattern_stays_and_few_requests_are_no_proof(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path)
        fill(cached, 20, ttl_s=600)
        run(cached, **told)
        count(cached, EVENTS, hits=0, misses=99)
        assert one(run(cached, **told), "hit_rate").status is Status.UNKNOWN
        count(cached, EVENTS, hits=901, misses=0)
        done = run(cached, **told)
        assert (one(done, "hit_rate").status, one(done, "hit_rate").observed) == (Status.OK, 1.0)
        assert (done.changed, keys(cached, EVENTS)) == (False, 20)

    def test_counters_that_began_anew_count_from_there(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path)
        count(cached, EVENTS, hits=10_000, misses=0)
        run(cached, **told)
        cached.do("DEL", cache.COUNTERS)
        count(cached, EVENTS, hits=50, misses=150)
        assert one(run(cached, **told), "hit_rate").observed == 0.25

    def test_what_nobody_counts_is_estimated_and_never_removed(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path, counters=[])
        run(cached, **told)
        fill(cached, 300, ttl_s=3600)
        with cached.client() as client:
            for number in range(300):
                client.get(f"api:game:{number:010}:events")
            for _ in range(900):
                client.get("api:game:9:nothing")
        done = run(cached, **told)
        rate = one(done, "hit_rate")
        assert rate.status is Status.WARN
        assert "estimated" in rate.summary
        assert "measured" not in rate.summary
        assert done.details["cache_upkeep"]["patterns"][0]["how"] == "estimated"
        assert (done.changed, keys(cached, EVENTS)) == (False, 300)
        whole = one(done, "cache_hit_rate")
        assert whole.status is Status.WARN
        assert "measured by the server" in whole.summary

    @pytest.mark.slow
    def test_our_own_look_ups_are_not_counted(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path)
        fill(cached, 500)
        run(cached, **told)
        again = run(cached, **told)
        assert "counted 0 requests" in one(again, "cache_hit_rate").summary

    @pytest.mark.parametrize("wrong", ["SET api:cache:counters x", "HSET api:cache:counters hit:x many"])
    def test_counters_that_cannot_be_used(self, cached: Server, tmp_path: Path, wrong: str) -> None:
        cached.do(*wrong.split())
        done = run(cached, **declared(tmp_path))
        assert one(done, "hit_rate").status is Status.UNKNOWN
        problems = [found for found in done.findings if found.id == "redis.upkeep.counters"]
        assert len(problems) == wrong.startswith("SET")


class TestTimesToLive:
    @pytest.mark.slow
    def test_only_keys_without_one_get_it(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path)
        fill(cached, 1200)
        cached.do("SET", "api:game:0000009999:events", "x", "EX", 50)
        cached.do("SET", "other:1", "x")
        planned = run(cached, check_mode=True, **told)
        assert planned.actions == [f"give 1,200 keys of {EVENTS} a time to live of 3,600 s"]
        assert cached.do("TTL", "api:game:0000000001:events") == -1
        done = run(cached, **told)
        assert done.actions == planned.actions
        assert 3500 < cached.do("TTL", "api:game:0000000001:events") <= 3600
        assert cached.do("TTL", "api:game:0000009999:events") <= 50
        assert cached.do("TTL", "api:generation:0000000001") == -1
        assert cached.do("TTL", "other:1") == -1
        assert one(done, "ttl_advice").subject == "other:*"
        again = run(cached, **told)
        assert (again.changed, again.metrics["keys_given_ttl"]) == (False, 0)
        assert one(again, "ttl").status is Status.OK

    def test_keys_past_their_time_are_freed(self, cached: Server, tmp_path: Path) -> None:
        cached.do("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        with cached.client() as client, client.pipeline(transaction=False) as pipe:
            for number in range(2000):
                pipe.set(f"short:{number}", "x", px=1)
            pipe.execute()
        done = run(cached, **declared(tmp_path))
        assert cached.do("DBSIZE") == 0
        assert one(done, "expired").observed == done.metrics["keys_expired"] == 2000
        assert not done.changed


class TestKeys:
    def test_big_and_idle_keys_are_named_and_bounded(self, cached: Server, tmp_path: Path) -> None:
        for number in range(5):
            cached.do("SET", f"big:{number}\n{'n' * 200}", "x" * 200_000)
        cached.do("SET", "idle:1", "x")
        cached.do("SET", "idle:2", "x", "EX", 10**6)
        told = declared(tmp_path, list_keys=3, idle_key_s=1, duties=["keys"])
        wait_for(lambda: cached.do("OBJECT", "IDLETIME", "idle:1") >= 1)
        done = run(cached, **told)
        big = [found for found in done.findings if found.id == "redis.upkeep.big_key"]
        assert len(big) == 3
        assert all(found.observed > 200_000 and len(found.subject) <= 80 for found in big)
        assert all(found.subject.isprintable() for found in big)
        done = run(cached, **{**told, "list_keys": 10})
        idle = {found.subject for found in done.findings if found.id == "redis.upkeep.idle_key"}
        assert "idle:1" in idle
        assert "idle:2" not in idle

    def test_hot_keys_under_an_lfu_policy(self, kind: str, tmp_path: Path) -> None:
        lfu = {"maxmemory": "64mb", "maxmemory-policy": "allkeys-lfu", "lfu-log-factor": "0"}
        with server(tmp_path, kind, lfu) as made, made.client() as client:
            client.set("hot:1", "x")
            client.set("cold:1", "x")
            for _ in range(300):
                client.get("hot:1")
            done = run(made, **declared(tmp_path))
        assert one(done, "hot_key", "hot:1").status is Status.WARN
        assert one(done, "idle_key").status is Status.SKIPPED


class TestState:
    def test_it_is_private_and_bounded(self, cached: Server, tmp_path: Path) -> None:
        from courtkeeper.redis.upkeep.state import decoded

        told = declared(tmp_path, keep_readings=3)
        for _ in range(5):
            run(cached, **told)
        (path,) = state(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        kept = decoded(path.read_bytes())
        assert kept
        assert len(kept.readings) == 3
        assert cached.password not in path.read_text()

    def test_check_mode_keeps_nothing(self, cached: Server, tmp_path: Path) -> None:
        run(cached, check_mode=True, **declared(tmp_path))
        assert state(tmp_path) == []

    def test_a_damaged_one_is_said_and_written_anew(self, cached: Server, tmp_path: Path) -> None:
        told = declared(tmp_path)
        run(cached, **told)
        (path,) = state(tmp_path)
        path.write_bytes(b'{"version": 1, "readings": [{"at": 1e999}]}')
        done = run(cached, **told)
        assert one(done, "state").status is Status.WARN
        assert not [found for found in run(cached, **told).findings if found.id == "redis.upkeep.state"]

    def test_without_a_directory_nothing_is_kept(self, cached: Server) -> None:
        done = run(cached, patterns=[{"pattern": EVENTS}])
        assert one(done, "hit_rate").status is Status.UNKNOWN


def test_a_walk_that_takes_long_tells_young_keys_by_when_they_are_seen(cached: Server) -> None:
    fill(cached, 10, ttl_s=550)  # 50 s old, by what is declared
    with connect(cached.settings(), purpose="test") as client:
        for since_begun, young in ((0.0, 0), (45.0, 10)):
            walked = walk.Walk(
                patterns=[Declared(pattern=EVENTS, ttl_s=600)],
                limit=frozenset({EVENTS}),
                interval_s=40.0,
                begun=time.monotonic() - since_begun,
            )
            pace = Pace(client, budget_ms=1e6, share=1.0, batch=100, patience_s=60, deadline=math.inf)
            walk.go(walked, client, pace)
            assert walked.seen[EVENTS].young == young
