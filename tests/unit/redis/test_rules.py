"""Rules over snapshots that no server can be brought to within a test, and what holds for all rules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.redis import parse
from courtkeeper.redis.check import judge
from courtkeeper.redis.rule import GROUPS, choose, megabytes, registry
from courtkeeper.redis.server import facts
from courtkeeper.redis.snapshot import Refused, Snapshot

NOW = 1_795_000_000
INFO = {
    "redis_version": "7.0.15", "redis_mode": "standalone", "role": "master", "config_file": "/etc/redis.conf",
    "server_time_usec": f"{NOW}000000", "used_memory": "100000000", "used_memory_rss": "110000000",
    "used_memory_peak": "100000000", "mem_clients_normal": "20000", "connected_clients": "3",
    "connected_slaves": "0", "sync_partial_err": "0", "rdb_changes_since_last_save": "0",
    "rdb_last_save_time": f"{NOW - 5000}", "rdb_current_bgsave_time_sec": "-1", "maxmemory": "200000000",
    "mem_fragmentation_ratio": "1.1", "mem_fragmentation_bytes": "10000000", "mem_clients_slaves": "0",
}  # fmt: skip
CONFIG = {"save": "3600 1 300 100", "repl-backlog-size": "1048576"}


def judged(name: str, info: dict[str, str] | None = None, **more: object) -> Finding:
    told = INFO | (info or {})
    taken = Snapshot(
        at=datetime.now(UTC), server=facts(told), info=told, databases=parse.databases(told), **more
    )  # type: ignore[arg-type]
    (finding,) = judge(taken, choose(names=[name]), "here").findings
    return finding


@pytest.mark.parametrize(
    ("name", "info", "status"),
    [
        ("memory.swapped", {"used_memory_rss": "80000000"}, "warn"),
        ("memory.swapped", {"used_memory_rss": "95000000"}, "ok"),
        ("memory.replicas", {"connected_slaves": "2", "mem_clients_slaves": "30000000"}, "warn"),
        ("memory.replicas", {"connected_slaves": "2", "mem_clients_slaves": "10000000"}, "ok"),
        # A replica's share of the common buffer, beyond the backlog, which is there in any case.
        ("memory.replicas", {"connected_slaves": "1", "mem_total_replication_buffers": "30000000"}, "warn"),
        (
            "memory.replicas",
            {
                "connected_slaves": "1",
                "mem_total_replication_buffers": "30000000",
                "repl_backlog_size": "30000000",
            },
            "ok",
        ),
        ("memory.process_rss", {"rss_overhead_ratio": "1.2", "rss_overhead_bytes": "20000000"}, "warn"),
        ("memory.process_rss", {"rss_overhead_ratio": "1.2", "rss_overhead_bytes": "9000000"}, "ok"),
        ("memory.allocator_rss", {"allocator_rss_ratio": "1.2", "allocator_rss_bytes": "20000000"}, "warn"),
        ("memory.allocator_rss", {}, "skipped"),
        # DOCTOR is silent under 5 MB of data, whatever the process holds.
        (
            "memory.fragmentation",
            {
                "used_memory": "1000000",
                "used_memory_rss": "90000000",
                "mem_fragmentation_ratio": "90",
                "mem_fragmentation_bytes": "89000000",
            },
            "warn",
        ),
        (
            "memory.fragmentation",
            {
                "used_memory": "1000000",
                "used_memory_rss": "12000000",
                "mem_fragmentation_ratio": "12",
                "mem_fragmentation_bytes": "11000000",
            },
            "ok",
        ),
        ("persistence.snapshot_age", {"rdb_changes_since_last_save": "1"}, "crit"),
        ("persistence.snapshot_age", {"rdb_changes_since_last_save": "0"}, "ok"),
        (
            "persistence.snapshot_age",
            {"rdb_changes_since_last_save": "1", "rdb_last_save_time": f"{NOW - 4300}"},
            "warn",
        ),
        (
            "persistence.snapshot_age",
            {"rdb_changes_since_last_save": "99", "rdb_last_save_time": f"{NOW - 1000}"},
            "ok",
        ),
        (
            "persistence.snapshot_age",
            {"rdb_changes_since_last_save": "100", "rdb_last_save_time": f"{NOW - 1000}"},
            "warn",
        ),
        ("persistence.snapshot_slow", {"rdb_current_bgsave_time_sec": "700"}, "warn"),
        ("persistence.snapshot_slow", {"rdb_current_bgsave_time_sec": "1200"}, "crit"),
        ("persistence.aof_failed", {"aof_enabled": "1", "aof_last_write_status": "err"}, "crit"),
        ("replication.backlog", {"sync_partial_err": "5"}, "warn"),
        ("replication.link", {"role": "slave", "master_link_status": "down", "master_sync_in_progress": "1"},
         "warn"),
        (
            "replication.lag",
            {"master_repl_offset": "50000000", "slave0": "ip=1.2.3.4,port=1,state=online,offset=1,lag=0"},
            "warn",
        ),
        ("replication.lag", {"slave0": "ip=1.2.3.4,port=1,state=online,offset=1,lag=61"}, "crit"),
        ("server.version", {"redis_version": "6.0.16"}, "warn"),
        ("server.version", {"redis_version": "6.2.1"}, "ok"),
        ("server.version", {"redis_version": "10.0.0"}, "ok"),
    ],
)  # fmt: skip
def test_a_server_in_trouble(name: str, info: dict[str, str], status: str) -> None:
    finding = judged(name, info, config=CONFIG)
    assert finding.status == status, finding
    assert bool(finding.fix) == (status in ("warn", "crit"))


def test_every_rule_says_what_it_looks_for_and_where_its_limits_come_from() -> None:
    assert len(registry()) >= 45
    for full, (group, kind) in registry().items():
        assert group in GROUPS
        assert kind.__doc__
        assert kind.__doc__.startswith("Looks for "), full
        assert kind.title[0].islower()
        assert all(limit.source and limit.unit for limit in kind.limits.values())


def test_what_is_refused_is_skipped_with_what_helps() -> None:
    refused = {"config": Refused("the user x may not do that", "ACL SETUSER x +config|get", rights=True)}
    finding = judged("latency.monitor", refused=refused)
    assert finding.status is Status.SKIPPED
    assert finding.fix == "ACL SETUSER x +config|get"
    assert judged("keys.big_hash").summary.endswith("no keys were looked at.")
    assert judged("latency.monitor").summary.endswith("does not say latency-monitor-threshold.")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"groups": ["memroy"]}, "did you mean memory"),
        ({"names": ["memory.us"]}, "did you mean memory.use"),
        ({"thresholds": {"memory.use": {"wran": 1}}}, "did you mean warn"),
        ({"thresholds": {"memory.use": {"warn": "x"}}}, "give a number"),
        ({"thresholds": {"memory.use": 5}}, "give names and numbers"),
    ],
)
def test_a_choice_that_cannot_be(given_: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        choose(**given_)  # type: ignore[arg-type]


@given(
    st.dictionaries(st.sampled_from([*INFO, "slave0", "master0", "db0", "loading", "maxclients"]), st.text())
)
def test_no_info_breaks_a_rule(info: dict[str, str]) -> None:
    told = INFO | info
    for mode in ("standalone", "cluster", "sentinel", ""):
        server = facts(told | {"redis_mode": mode})
        taken = Snapshot(
            at=datetime.now(UTC),
            server=server,
            info=told,
            config=dict.fromkeys(["save", "bind", "client-output-buffer-limit", "appendonly"], told["role"]),
            databases=parse.databases(told),
            commands=parse.command_stats(told),
        )
        for finding in judge(taken, choose(), "here").findings:
            assert finding.summary.endswith(".")


@pytest.mark.parametrize(
    ("size", "text"),
    [(5, "5 B"), (2048, "2 KB"), (1.5 * 2**20, "1.5 MB"), (2**40, "1,024 GB"), (-2048, "-2 KB")],
)
def test_sizes(size: float, text: str) -> None:
    assert megabytes(size) == text
