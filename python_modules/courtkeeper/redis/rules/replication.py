"""Replicas, clusters and Sentinels, as the one server that is asked sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.parse import fields, number, whole
from courtkeeper.redis.patterns import printable
from courtkeeper.redis.rule import KEEP, MIB, Limit, Rule, megabytes, setting, told
from courtkeeper.redis.snapshot import Snapshot

_SLOTS = 16_384


class Link(Rule):
    """Looks for a replica that has lost its master: it serves what once was."""

    name = "link"
    title = "replicas without their master"

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        info = snapshot.info
        if snapshot.server.role != "replica" or info.get("master_link_status") == "up":
            return
        master = f"{info.get('master_host', '?')}:{info.get('master_port', '?')}"
        if info.get("master_sync_in_progress") == "1":
            yield self.finding(
                master,
                Status.WARN,
                f"The replica is copying its master {master} anew.",
                fix="wait until it is done; should it begin again and again, raise the replica's "
                "client-output-buffer-limit on the master",
            )
            return
        since = whole(info.get("master_link_down_since_seconds"))
        yield self.finding(
            master,
            Status.CRIT,
            f"The replica has no link to its master {master}" + (f" for {since} s." if since > 0 else "."),
            observed=info.get("master_link_status", "down"),
            threshold="up",
            fix="see that the master runs and lets it in: CONFIG SET masterauth <password>, or "
            "REPLICAOF <host> <port> where it is another by now",
        )


class Lag(Rule):
    """Looks for replicas that are behind their master."""

    name = "lag"
    title = "replicas far behind"
    limits: ClassVar = {
        "warn": Limit(10, "s without an answer", "repl-ping-replica-period is 10 s"),
        "crit": Limit(60, "s without an answer", "repl-timeout is 60 s"),
        "behind_mb": Limit(10, "MB behind", "DOCTOR: 10 MB of buffer for a replica"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        offset = snapshot.number("master_repl_offset", 0) or 0
        for name, value in snapshot.info.items():
            if not re.fullmatch(r"slave[0-9]+", name):
                continue
            row = fields(value, ",", "=")
            where = printable(f"{row.get('ip', '?')}:{row.get('port', '?')}")
            lag, behind = number(row.get("lag"), 0) or 0, offset - (number(row.get("offset"), 0) or 0)
            status = self.graded(lag)
            if status is Status.OK and (
                row.get("state") != "online" or behind < self.limit["behind_mb"] * MIB
            ):
                continue
            yield self.finding(
                where,
                max(status, Status.WARN, key=lambda one: one.severity),
                f"The replica {where} answered {lag:.0f} s ago and is {megabytes(max(0, behind))} behind.",
                observed=lag,
                threshold=self.limit["crit" if status is Status.CRIT else "warn"],
                unit="s",
                fix="look at the replica's load, its disk and the network between them",
            )


class Writable(Rule):
    """Looks for replicas that take writes, which their master never learns of."""

    name = "writable"
    title = "replicas that take writes"
    needs = ("info", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        if snapshot.server.role == "replica" and setting(snapshot, "replica-read-only") == "no":
            yield self.finding(
                "replica-read-only",
                Status.WARN,
                "The replica takes writes, which its master does not know and the next copy overwrites.",
                observed="no",
                threshold="yes",
                fix=f"CONFIG SET replica-read-only yes; {KEEP}",
                undo="CONFIG SET replica-read-only no",
            )


class ClusterState(Rule):
    """Looks for a cluster that does not serve all slots, as this node sees it."""

    name = "cluster"
    title = "slots that nobody serves"
    needs = ("info", "cluster")
    modes = frozenset({"cluster"})

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        told_by_node = snapshot.cluster
        state = told_by_node.get("cluster_state", "")
        served = whole(told_by_node.get("cluster_slots_ok"))
        if state == "ok" and served == _SLOTS:
            return
        yield self.finding(
            "cluster_state",
            Status.CRIT,
            f"The cluster is {state or 'unknown'} to this node: {served:,} of {_SLOTS:,} slots are served.",
            observed=served,
            threshold=_SLOTS,
            unit="slots",
            fix="see CLUSTER NODES for who fails; start it, fail over to its replica, or give its slots to "
            "others (redis-cli --cluster fix)",
        )


class Sentinel(Rule):
    """Looks for masters that a Sentinel takes for dead, and for too few Sentinels to agree."""

    name = "sentinel"
    title = "masters in danger"
    modes = frozenset({"sentinel"})
    limits: ClassVar = {"warn": Limit(3, "Sentinels at least", "Redis docs: three Sentinels at least")}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        for name, value in snapshot.info.items():
            if not re.fullmatch(r"master[0-9]+", name):
                continue
            row = fields(value, ",", "=")
            master, address = printable(row.get("name", "?")), printable(row.get("address", "?"))
            others = whole(row.get("sentinels"))
            if row.get("status") != "ok":
                yield self.finding(
                    master,
                    Status.CRIT,
                    f"The master {master} ({address}) is {printable(row.get('status', '?'))}.",
                    observed=row.get("status", ""),
                    threshold="ok",
                    fix=f"start it, or SENTINEL FAILOVER {master}",
                )
            elif others < self.limit["warn"]:
                yield self.finding(
                    master,
                    Status.WARN,
                    f"{others} Sentinels watch the master {master}: when one is lost they cannot agree.",
                    observed=others,
                    threshold=self.limit["warn"],
                    fix="start Sentinels on further machines, three in all at least",
                )


class Backlog(Rule):
    """Looks for replicas that had to copy everything because the backlog did not reach back far enough."""

    name = "backlog"
    title = "full copies for want of a backlog"
    needs = ("info", "config")
    limits: ClassVar = {"warn": Limit(5, "partial copies refused since the start", "our choice")}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        refused, size = told(snapshot, "sync_partial_err"), snapshot.setting("repl-backlog-size", 0) or 0
        if refused >= self.limit["warn"]:
            yield self.finding(
                "repl-backlog-size",
                Status.WARN,
                f"{refused:.0f} times a replica had to copy everything: the backlog of {megabytes(size)} did "
                "not reach back far enough.",
                observed=refused,
                threshold=self.limit["warn"],
                fix=f"CONFIG SET repl-backlog-size {max(64 * MIB, 2 * size):.0f}; {KEEP} CONFIG RESETSTAT;",
                undo=f"CONFIG SET repl-backlog-size {size:.0f}",
            )
