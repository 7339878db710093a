"""Misconfigured servers: each has its own finding and no other, and its remedy, done as written, mends it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from courtkeeper.findings import Status
from support.redis import WELL_KEPT, apply, replica, server, wait_for
from support.redis_checks import bad, findings, mended, only

pytestmark = pytest.mark.slow


def test_a_well_kept_server_has_nothing_to_mend(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT) as running:
        with running.client() as client:
            for number in range(500):
                client.set(f"session:{number}", "x" * 100, ex=3600)
                client.hset(f"player:{number}", mapping={"name": "x", "team": "y"})
            client.lpush("queue", *range(100))
        assert {one.status for one in findings(running)} == {Status.OK}


@pytest.mark.parametrize(
    ("name", "configuration"),
    [
        ("memory.limit", {"maxmemory": "0"}),
        ("latency.monitor", {"latency-monitor-threshold": "0"}),
        ("latency.slowlog", {"slowlog-log-slower-than": "-1"}),
        ("latency.slowlog", {"slowlog-max-len": "0"}),
        ("clients.keepalive", {"tcp-keepalive": "0"}),
        ("clients.output_limit", {"client-output-buffer-limit": "pubsub 0 0 0"}),
        ("clients.output_limit", {"client-output-buffer-limit": "replica 0 0 0"}),
        ("persistence.fsync", {"appendfsync": "no"}),
    ],
)
def test_a_setting(tmp_path: Path, kind: str, name: str, configuration: dict[str, str]) -> None:
    """The remedy is kept over a restart, and `undo` takes it back."""
    with server(tmp_path, kind, WELL_KEPT | configuration) as running:
        finding = only(running, name)
        apply(running, finding.fix)
        running.stop()
        running.start()
        assert not bad(running)
        apply(running, finding.undo)
        only(running, name)


def test_a_policy_that_fits_no_key(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT | {"maxmemory-policy": "volatile-lru"}) as running:
        running.client().mset({f"key:{number}": "x" for number in range(200)})
        mended(running, "memory.policy")


def test_data_to_keep_that_no_file_holds(tmp_path: Path, kind: str) -> None:
    told = WELL_KEPT | {"appendonly": "no", "maxmemory-policy": "noeviction"}
    with server(tmp_path, kind, told) as running:
        assert not bad(running)
        running.do("SET", "account:1", "x")
        mended(running, "persistence.none")
        with replica(tmp_path, running, WELL_KEPT):
            running.do("CONFIG", "SET", "appendonly", "no")
            assert only(running, "persistence.none").status is Status.CRIT


def test_no_password(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT, password="") as running:
        apply(running, only(running, "security.password").fix, password="a-long-one")
        running.password = "a-long-one"
        assert not bad(running)


def test_neither_password_nor_protected_mode(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT | {"protected-mode": "no"}, password="") as running:
        found = bad(running)
        assert set(found) == {"security.password", "security.protected_mode"}
        assert {one.status for one in found.values()} == {Status.WARN}  # on its own host only
        running.do("CONFIG", "SET", "bind", "127.0.0.1 -192.0.2.1")  # an address that it need not have
        found = bad(running)
        assert {one.status for one in found.values()} == {Status.CRIT}
        apply(running, found["security.protected_mode"].fix)
        only(running, "security.password")


def test_huge_pages(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT | {"disable-thp": "no"}) as running:
        assert "`disable-thp yes`" in only(running, "latency.huge_pages").fix
        running.stop()
        running.config.write_text(running.config.read_text().replace("disable-thp no", "disable-thp yes"))
        running.start()
        assert not bad(running)


def test_no_configuration_file(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT, config_file=False) as running:
        assert "start it with a file" in only(running, "server.config_file").fix
        with pytest.raises(RedisError, match="without a config file"):
            running.do("CONFIG", "REWRITE")


def test_an_old_version(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT) as running:
        finding = only(running, "server.version", server_version={"redis": 7.4, "valkey": 9.9})
        assert "older than" in finding.summary


def test_memory_near_its_limit(tmp_path: Path, kind: str) -> None:
    told = WELL_KEPT | {"maxmemory": "20mb", "maxmemory-policy": "noeviction"}
    with server(tmp_path, kind, told) as running:
        with running.client() as client:
            for number in range(180):
                client.set(f"page:{number}", "x" * 90_000)
            wait_for(lambda: _is_counted(client))
        assert only(running, "memory.use").status is Status.WARN
        with running.client(decode_responses=False) as client:
            pages = iter(range(180, 1000))
            wait_for(lambda: _is_full(client, f"page:{next(pages)}"))
        finding = only(running, "memory.use")
        assert finding.status is Status.CRIT
        assert "writes are refused" in finding.summary
        mended(running, "memory.use")


def _is_counted(client: Redis) -> bool:
    """Whether the server has looked at its size since it was filled: it does so ten times a second."""
    memory = client.info("memory")
    return memory["used_memory_rss"] > memory["used_memory"]


def _is_full(client: Redis, key: str) -> bool:
    try:
        client.set(key, "x" * 40_000)
    except OutOfMemoryError:
        return True
    return False


def test_a_snapshot_that_failed(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT | {"appendonly": "no"}) as running:
        (running.home / "dump.rdb").mkdir()  # a snapshot cannot be put in its place
        running.do("SET", "a", "1")
        running.do("BGSAVE")
        wait_for(lambda: running.client().info("persistence")["rdb_last_bgsave_status"] == "err")
        finding = only(running, "persistence.snapshot_failed")
        assert finding.status is Status.CRIT
        assert str(running.home) in finding.fix
        (running.home / "dump.rdb").rmdir()
        running.do("BGSAVE")
        wait_for(lambda: running.client().info("persistence")["rdb_bgsave_in_progress"] == 0)
        assert not bad(running)


def test_an_append_only_file_that_cannot_be_written_anew(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT) as running:
        files = running.home / "appendonlydir"
        files.rename(tmp_path / "away")
        files.touch()
        with contextlib.suppress(RedisError):
            running.do("BGREWRITEAOF")
        wait_for(lambda: running.client().info("persistence")["aof_last_bgrewrite_status"] == "err")
        assert only(running, "persistence.aof_failed").subject == "BGREWRITEAOF"
        files.unlink()
        (tmp_path / "away").rename(files)
        running.do("BGREWRITEAOF")
        wait_for(lambda: running.client().info("persistence")["aof_last_bgrewrite_status"] == "ok")
        assert not bad(running)


def test_a_snapshot_that_does_not_end(tmp_path: Path, kind: str) -> None:
    told = WELL_KEPT | {"appendonly": "no", "save": "1 1", "rdb-key-save-delay": "20000"}
    limits = {"persistence_snapshot_age": {"warn": 1.0}, "persistence_snapshot_slow": {"warn": 1.0}}
    with server(tmp_path, kind, told) as running:
        assert not bad(running, **limits)
        running.client().mset({f"key:{number}": "x" for number in range(250)})
        wait_for(lambda: len(bad(running, **limits)) == 2)
        assert set(bad(running, **limits)) == {"persistence.snapshot_age", "persistence.snapshot_slow"}
        wait_for(lambda: not bad(running, **limits))


def test_a_replica_without_its_master(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT) as master, replica(tmp_path, master, WELL_KEPT) as running:
        assert not bad(running)
        assert not bad(master)
        running.do("CONFIG", "SET", "masterauth", "wrong")
        master.do("CLIENT", "KILL", "TYPE", "replica")
        wait_for(lambda: running.client().info("replication")["master_link_status"] == "down")
        finding = only(running, "replication.link")
        assert finding.status is Status.CRIT
        assert "CONFIG SET masterauth" in finding.fix
        running.do("CONFIG", "SET", "masterauth", master.password)
        wait_for(lambda: running.client().info("replication")["master_link_status"] == "up")
        assert not bad(running)


def test_a_replica_that_takes_writes(tmp_path: Path, kind: str) -> None:
    told = WELL_KEPT | {"replica-read-only": "no"}
    with server(tmp_path, kind, WELL_KEPT) as master, replica(tmp_path, master, told) as running:
        mended(running, "replication.writable")


def test_a_replica_far_behind(tmp_path: Path, kind: str) -> None:
    with server(tmp_path, kind, WELL_KEPT) as master, replica(tmp_path, master, WELL_KEPT) as running:
        limits = {"replication_lag": {"warn": 2.0}}
        wait_for(lambda: not bad(master, **limits))
        running.pause()
        wait_for(lambda: "replication.lag" in bad(master, **limits))
        running.resume()
        wait_for(lambda: not bad(master, **limits))
