"""A snapshot of real servers: every part of it is there, nothing secret is, and the keys are as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from courtkeeper.redis import snapshot
from courtkeeper.redis.keyspace import SampleSettings
from courtkeeper.redis.server import connect
from courtkeeper.redis.snapshot import Snapshot
from support.redis import WELL_KEPT, Server, server


@pytest.fixture
def running(tmp_path: Path, kind: str) -> Iterator[Server]:
    with server(tmp_path, kind, WELL_KEPT) as made:
        yield made


def taken(running: Server, sample: SampleSettings | None = None) -> Snapshot:
    client = connect(running.settings(), purpose="test")
    with client:
        return snapshot.take(client, sample=sample or SampleSettings())


def test_every_part_is_there(running: Server, kind: str) -> None:
    with running.client() as client:
        client.set("session:1", "x", ex=50)
        client.hset("player:23", mapping={f"field{n}": "x" for n in range(600)})
        client.execute_command("SELECT", 3)
        client.rpush("queue", *range(10))
        client.execute_command("CONFIG", "SET", "slowlog-log-slower-than", "0")
        client.execute_command("PING")
    found = taken(running)
    assert not found.refused
    assert (found.server.kind, found.server.mode, found.server.role) == (kind, "standalone", "master")
    assert found.server.api >= (7, 0, 15)
    assert found.server.config_file == str(running.config)
    assert found.config["maxmemory"] == "268435456"
    assert found.config["requirepass"] == "***"
    assert found.number("used_memory") == pytest.approx(found.memory["total.allocated"], rel=0.2)
    assert found.histograms["set"].calls == found.commands["set"].calls == 1
    assert found.latency().percentile(0.99)
    assert any(entry.command == "ping" for entry in found.slow)
    assert any(client.name == "courtkeeper-test" for client in found.clients)
    assert [(user.name, user.on, user.nopass) for user in found.users] == [("default", True, False)]
    assert {number: one.keys for number, one in found.databases.items()} == {0: 2, 3: 1}
    keys = found.keys
    assert keys
    assert keys.complete
    assert keys.extent == "all 3 keys"
    assert {(one.database, one.name) for one in keys.patterns} == {
        (0, "session:*"), (0, "player:*"), (3, "queue"),
    }  # fmt: skip
    assert keys.largest["hash"][0].elements == keys.fullest["hash"][0].elements == 600
    assert running.password not in msgspec.json.encode(found).decode()


def test_the_sample_does_not_count_as_use(running: Server) -> None:
    """What it adds to keyspace_hits is known, so that a hit rate can be had between two snapshots."""
    with running.client() as client:
        for number in range(300):
            client.set(f"key:{number}", "x")
        client.sadd("big", *range(5000))
        before = client.info("stats")["keyspace_hits"]
        keys = taken(running).keys
        assert keys
        assert keys.sampled == 301
        assert client.info("stats")["keyspace_hits"] - before == keys.lookups


def test_a_part_of_the_keys_says_how_much_it_is(running: Server) -> None:
    with running.client() as client:
        client.mset({f"key:{number}": "x" * 50 for number in range(5000)})
    keys = taken(running, SampleSettings(keys=500)).keys
    assert keys
    assert not keys.complete
    assert 500 <= keys.sampled < 600
    assert keys.extent == f"{keys.sampled} of 5,000 keys, the rest estimated"
    assert keys.estimated(keys.sampled) == 5000
