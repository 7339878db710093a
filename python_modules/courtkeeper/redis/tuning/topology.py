"""Which servers belong together, and in which order they are changed: replicas first, masters last."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.parse import fields, pairs, text, whole
from courtkeeper.redis.server import ServerSettings
from courtkeeper.redis.tuning.node import Node
from courtkeeper.redis.tuning.settings import TuningSettings

_MOST_NODES = 1000  # the most that a cluster is made for (Redis Cluster specification)


class Member(msgspec.Struct, frozen=True):
    """A node as CLUSTER NODES has it; `master` is the id of its master, empty for one."""

    id: str
    host: str
    port: int
    flags: frozenset[str]
    master: str


@contextmanager
def topology(settings: ServerSettings, tuning: TuningSettings) -> Iterator[list[Node]]:
    """Yield the nodes to change, connected, in the order of change; they are let go at the end.

    Raises ConfigurationError where the servers do not stand as they should: a replica that was given for its
    master, one that is not in step, a cluster that is not whole, a Sentinel that is failing over.
    """
    nodes: list[Node] = []
    try:
        entry = Node(settings)
        nodes.append(entry)
        if entry.server.mode == "sentinel":
            entry = Node(_master_by_sentinel(entry, tuning))
            nodes.append(entry)
        yield _ordered(entry, nodes, tuning)
    finally:
        for node in nodes:
            node.close()


def _ordered(entry: Node, nodes: list[Node], tuning: TuningSettings) -> list[Node]:
    """Return the nodes to change; every one that is opened is put into `nodes` as well."""
    if tuning.scope == "node":
        return [entry]
    if entry.server.mode == "cluster":
        return _cluster(entry, nodes)
    if entry.server.role != "master":
        master = f"{entry.info.get('master_host', '?')}:{entry.info.get('master_port', '?')}"
        raise ConfigurationError(
            f"the server {entry.where} is a replica of {master}: name its master, or with scope: node tune "
            "this replica alone"
        )
    return [*_replicas(entry, entry, nodes), entry]


def _replicas(node: Node, entry: Node, nodes: list[Node]) -> list[Node]:
    """Return the replicas of a node, those of replicas before them."""
    found = []
    for host, port, state in replicas_in(node.info):
        if state != "online":
            raise ConfigurationError(
                f"the replica {host}:{port} of {node.where} is not in step ({state}): mend that first"
            )
        replica = _open(entry, host, port, nodes)
        if replica.info.get("master_replid") != node.info.get("master_replid"):
            raise ConfigurationError(
                f"{replica.where} is another server than the replica that {node.where} speaks of: give "
                "replica-announce-ip to the replica, or tune each with scope: node"
            )
        if replica.info.get("master_link_status") != "up":
            raise ConfigurationError(f"the replica {replica.where} has lost its master: mend that first")
        found += [*_replicas(replica, entry, nodes), replica]
    return found


def replicas_in(info: dict[str, str]) -> list[tuple[str, int, str]]:
    """Return host, port and state of the replicas that INFO tells of; what cannot be read is left out."""
    found = []
    for number in range(_MOST_NODES):
        line = info.get(f"slave{number}")
        if line is None:
            break
        row = fields(line, ",", "=")
        if row.get("ip") and 0 < whole(row.get("port")) < 65536:
            found.append((row["ip"], whole(row["port"]), row.get("state", "unknown")))
    return found


def _cluster(entry: Node, nodes: list[Node]) -> list[Node]:
    state = text(entry.ask("CLUSTER", "INFO"))
    if "cluster_state:ok" not in state:
        raise ConfigurationError(f"the cluster of {entry.where} is not whole: mend it first (CLUSTER INFO)")
    members = members_in(text(entry.ask("CLUSTER", "NODES")))
    if ill := [f"{m.host}:{m.port}" for m in members if m.flags & {"fail", "fail?", "handshake", "noaddr"}]:
        raise ConfigurationError(
            f"the node {ill[0]} of the cluster of {entry.where} is not well: mend or forget it first"
        )
    shard = {m.id: m.master or m.id for m in members}
    order = sorted(members, key=lambda m: (not m.master, shard[m.id], m.host, m.port))
    found = []
    for member in order:
        mine = "myself" in member.flags
        node = entry if mine else _open(entry, member.host, member.port, nodes)
        if node.info.get("master_link_status", "up") != "up":
            raise ConfigurationError(f"the replica {node.where} has lost its master: mend that first")
        found.append(node)
    return found


def members_in(reply: str) -> list[Member]:
    """Return the lines of CLUSTER NODES; what cannot be read is left out."""
    found = []
    for line in reply.splitlines():
        words = line.split(" ")
        match = (
            re.fullmatch(r"(.*):([0-9]{1,5})(?:@[0-9]+)?(?:,([^,]*))?(?:,.*)?", words[1])
            if words[4:]
            else None
        )
        if match:
            host = match[1].strip("[]") or (match[3] or "")
            master = "" if words[3] == "-" else words[3]
            found.append(Member(words[0], host, int(match[2]), frozenset(words[2].split(",")), master))
    return found


def _open(entry: Node, host: str, port: int, nodes: list[Node]) -> Node:
    """Connect to another node as to the one we came by.

    What a server knows of the others is how it reaches them itself: its own loopback is its host for us.
    """
    if _loopback(host) and entry.settings.host and not _loopback(entry.settings.host):
        host = entry.settings.host
    node = Node(entry.settings.at(host, port))
    nodes.append(node)
    return node


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _master_by_sentinel(sentinel: Node, tuning: TuningSettings) -> ServerSettings:
    masters = masters_in(sentinel.ask("SENTINEL", "MASTERS"))
    name = tuning.sentinel_master or (next(iter(masters)) if len(masters) == 1 else "")
    if name not in masters:
        known = ", ".join(sorted(masters)) or "none"
        raise ConfigurationError(
            f"the Sentinel {sentinel.where} watches {known}: name the one that is meant in sentinel_master"
        )
    row = masters[name]
    ill = {"s_down", "o_down", "failover_in_progress", "master_down"} & set(row.get("flags", "").split(","))
    if ill:
        raise ConfigurationError(
            f"the Sentinel {sentinel.where} says that {name} is not well ({', '.join(sorted(ill))}): wait, "
            "or mend it first"
        )
    settings = sentinel.settings.at(row.get("ip", ""), whole(row.get("port")))
    if _loopback(settings.host) and not _loopback(sentinel.settings.host):
        settings = settings.at(sentinel.settings.host, settings.port)
    if tuning.node_password or tuning.node_user:
        settings = msgspec.structs.replace(settings, user=tuning.node_user, password=tuning.node_password)
    return settings


def masters_in(reply: object) -> dict[str, dict[str, str]]:
    """Return the masters that a Sentinel watches, by name, with their fields."""
    rows: Sequence[object] = reply if isinstance(reply, list) else []
    found = [{key: text(value) for key, value in pairs(row)} for row in rows]
    return {row["name"]: row for row in found if row.get("name")}
