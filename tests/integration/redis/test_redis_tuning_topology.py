"""Servers that belong together: found, changed one by one, replicas first, and stopped at the first ill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from courtkeeper.findings import ConfigurationError, Result
from courtkeeper.platform.ports import free_port
from courtkeeper.redis.tuning.change import Tools
from support.redis import Server, cluster, replica, server, wait_for
from support.tuning import found, left_behind, load, tuned, values

pytestmark = pytest.mark.slow

WISH = {"hz": 50}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def order(result: Result) -> list[int]:
    """The ports of the changed nodes, in the order of change."""
    return [int(f.subject.rpartition(":")[2]) for f in found(result, "applied")]


def has(node: Server) -> str:
    return values(node, "hz")["hz"]


def test_replicas_are_changed_first_and_those_of_replicas_before_them(
    tmp_path: Path, kind: str, state: Path
) -> None:
    with (
        server(tmp_path, kind) as first,
        replica(tmp_path, first, name="second") as second,
        replica(tmp_path, second, name="third") as third,
    ):
        shown = tuned(first, state, parameters=WISH, check_mode=True)
        result = tuned(first, state, parameters=WISH)
        assert order(result) == [third.port, second.port, first.port]
        assert len(shown.actions) == 6
        assert [has(node) for node in (first, second, third)] == ["50"] * 3
        again = tuned(first, state, parameters=WISH)
        assert not again.changed
        assert again.metrics["nodes"] == 3


def test_the_first_node_that_is_the_worse_for_it_stops_the_rest(
    tmp_path: Path, kind: str, state: Path
) -> None:
    """The replica is well with it, the master under load is not: it goes back, the replica stays."""
    start = {"maxmemory": "16mb", "replica-ignore-maxmemory": "yes"}
    with server(tmp_path, kind, start) as first, replica(tmp_path, first, start, name="second") as second:

        def write(client: redis.Redis, n: int) -> None:
            with client.pipeline(transaction=False) as pipe:
                for one in range(50):
                    pipe.set(f"new:{n}:{one}", "x" * 1000)
                pipe.execute(raise_on_error=False)

        with load(first, write):
            wait_for(lambda: first.client().info("stats")["total_error_replies"] > 100)
            result = tuned(
                first, state, parameters={"maxmemory-policy": "allkeys-random"}, gate={"observe_s": 2.0}
            )
        assert order(result) == [second.port]
        (crit,) = found(result, "regressed")
        assert str(first.port) in crit.subject
        assert values(second, "maxmemory-policy") == {"maxmemory-policy": "allkeys-random"}
        assert values(first, "maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert result.changed
        assert not left_behind(state)


def test_a_replica_that_is_the_worse_for_it_spares_its_master(tmp_path: Path, kind: str, state: Path) -> None:
    with server(tmp_path, kind) as first, replica(tmp_path, first, name="second") as second:

        def trace(step: str) -> None:
            if step == "set":
                second.do("REPLICAOF", "NO", "ONE")

        result = tuned(first, state, parameters=WISH, tools=Tools(trace=trace))
        assert "became a master meanwhile" in found(result, "regressed")[0].summary
        assert f":{first.port}" in found(result, "stopped")[0].summary
        assert (has(first), has(second)) == ("10", "10")
        assert not result.changed


def test_a_replica_that_is_not_in_step_refuses_all(tmp_path: Path, kind: str, state: Path) -> None:
    with server(tmp_path, kind) as first, replica(tmp_path, first, name="second") as second:
        second.do("CONFIG", "SET", "masterauth", "wrong")
        first.do("CLIENT", "KILL", "TYPE", "replica")
        wait_for(lambda: second.client().info("replication")["master_link_status"] == "down")
        (wished,) = [{"hz": 50}]
        if first.client().info("replication").get("slave0"):
            with pytest.raises(ConfigurationError, match="mend that first"):
                tuned(first, state, parameters=wished)
            assert has(first) == "10"


@contextmanager
def watched(directory: Path, kind: str) -> Iterator[tuple[list[Server], Server, Server]]:
    """Three Sentinels with a password of their own, a master and its replica."""
    with ExitStack() as stack:
        password = "of-the-nodes"  # the first one is to be a replica as well
        first = stack.enter_context(
            server(directory, kind, {"masterauth": password}, name="first", password=password)
        )
        second = stack.enter_context(replica(directory, first, name="second"))
        secret = {"sentinel sentinel-pass": "watcher"}
        sentinels = []
        for number in range(3):
            watcher = stack.enter_context(
                server(directory, kind, secret, sentinel=True, name=f"sentinel{number}", password="watcher")
            )
            watcher.do("SENTINEL", "MONITOR", "mymaster", first.host, first.port, 2)
            watcher.do("SENTINEL", "SET", "mymaster", "auth-pass", first.password)
            watcher.do("SENTINEL", "SET", "mymaster", "down-after-milliseconds", 2000)
            sentinels.append(watcher)
        for watcher in sentinels:
            wait_for(lambda w=watcher: _sees(w))  # type: ignore[misc]
        yield sentinels, first, second


def _sees(watcher: Server) -> bool:
    row = watcher.do("SENTINEL", "MASTER", "mymaster")
    seen = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))
    return (
        int(seen["num-slaves"]) == 1
        and int(seen["num-other-sentinels"]) == 2
        and "down" not in str(seen["flags"])
        and "disconnected" not in str(seen["flags"])
    )


def test_a_sentinel_leads_to_its_servers(tmp_path: Path, kind: str, state: Path) -> None:
    with watched(tmp_path, kind) as (sentinels, first, second):
        secret = {"node_password": first.password}
        with pytest.raises(ConfigurationError, match="watches mymaster: name the one"):
            tuned(sentinels[0], state, parameters=WISH, sentinel_master="other", **secret)
        result = tuned(sentinels[1], state, parameters=WISH, **secret)
        assert order(result) == [second.port, first.port]
        assert not tuned(sentinels[2], state, parameters=WISH, sentinel_master="mymaster", **secret).changed

        sentinels[0].do("SENTINEL", "FAILOVER", "mymaster")
        wait_for(lambda: _replication(second).get("role") == "master")
        wait_for(lambda: _replication(first).get("master_link_status") == "up")
        wait_for(lambda: _leads(sentinels[0], second))
        after = tuned(sentinels[0], state, parameters={"hz": 20}, **secret)
        assert order(after) == [first.port, second.port]


def _replication(node: Server) -> dict[str, object]:
    try:
        return dict(node.client().info("replication"))
    except redis.ConnectionError:  # a Sentinel ends the connections to a server whose role it changes
        return {}


def _leads(watcher: Server, to: Server) -> bool:
    _, port = watcher.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster")
    row = watcher.do("SENTINEL", "MASTER", "mymaster")
    seen = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))
    calm = not {"failover_in_progress", "s_down"} & set(str(seen["flags"]).split(","))
    return int(port) == to.port and calm


def test_a_cluster_is_changed_node_by_node_from_whichever_is_named(
    tmp_path: Path, kind: str, state: Path
) -> None:
    with cluster(tmp_path, kind) as nodes:
        first = nodes[0].do("CLUSTER", "MYID")
        lines = {"cluster-enabled": "yes", "masterauth": nodes[0].password, "cluster-node-timeout": "2000"}
        lines["cluster-port"] = str(free_port())
        with server(tmp_path, kind, lines, name="replica", password=nodes[0].password) as extra:
            bus = nodes[0].do("CONFIG", "GET", "cluster-port")[1]
            extra.do("CLUSTER", "MEET", nodes[0].host, nodes[0].port, bus)
            wait_for(lambda: first in extra.do("CLUSTER", "NODES"))
            extra.do("CLUSTER", "REPLICATE", first)
            wait_for(lambda: extra.client().info("replication").get("master_link_status") == "up")
            for node in nodes:
                wait_for(lambda n=node: str(n.do("CLUSTER", "NODES")).count("slave") == 1)  # type: ignore[misc]
                wait_for(lambda n=node: "handshake" not in str(n.do("CLUSTER", "NODES")))  # type: ignore[misc]
            result = tuned(nodes[1], state, parameters=WISH)
            assert order(result)[0] == extra.port
            assert sorted(order(result)) == sorted(n.port for n in (*nodes, extra))
            assert {has(node) for node in (*nodes, extra)} == {"50"}
            assert not tuned(nodes[2], state, parameters=WISH).changed

            nodes[2].do("CLUSTER", "DELSLOTSRANGE", 16000, 16383)
            wait_for(lambda: "cluster_state:fail" in nodes[2].do("CLUSTER", "INFO"))
            with pytest.raises(ConfigurationError, match="is not whole"):
                tuned(nodes[2], state, parameters={"hz": 20})
