"""Who is connected, and who was not let in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.rule import KEEP, Limit, Rule, setting, told
from courtkeeper.redis.snapshot import Snapshot

_KINDS = {"normal": "normal", "slave": "replica", "replica": "replica", "pubsub": "pubsub"}
_BOUNDS = {"replica": "replica 256mb 64mb 60", "pubsub": "pubsub 32mb 8mb 60"}


class Connected(Rule):
    """Looks for more connections than a pool needs."""

    name = "connected"
    title = "crowds of clients"
    limits: ClassVar = {"warn": Limit(100, "clients", "RedisInsight")}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        count = told(snapshot, "connected_clients")
        if count > self.limit["warn"]:
            idle = sum(client.idle_s > 300 for client in snapshot.clients)
            yield self.finding(
                "connected_clients",
                Status.WARN,
                f"{count:.0f} clients are connected"
                + (f", {idle} of them idle for over five minutes." if idle else "."),
                observed=count,
                threshold=self.limit["warn"],
                fix="let the applications share connections by a pool; CONFIG SET timeout 300 ends idle ones",
            )


class Room(Rule):
    """Looks for a server that will soon let nobody in."""

    name = "room"
    title = "shortages of connections"
    limits: ClassVar = {
        "warn": Limit(80, "% of maxclients", "our choice, as for memory"),
        "crit": Limit(95, "% of maxclients", "our choice"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        most = told(snapshot, "maxclients")
        share = 100 * told(snapshot, "connected_clients") / max(1, most)
        status = self.graded(share)
        if status is not Status.OK:
            yield self.finding(
                "maxclients",
                status,
                f"{share:.0f} % of {most:.0f} possible connections are taken.",
                observed=round(share, 1),
                threshold=self.limit[status],
                unit="%",
                fix=f"CONFIG SET maxclients {2 * most:.0f}; {KEEP} -- the limit of open files must allow it",
                undo=f"CONFIG SET maxclients {most:.0f}",
            )


class Rejected(Rule):
    """Looks for clients that were not let in."""

    name = "rejected"
    title = "rejected connections"
    limits: ClassVar = {
        "warn": Limit(1, "rejected since the start", "reference; Netdata warns from the first")
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        count, most = told(snapshot, "rejected_connections"), told(snapshot, "maxclients")
        if count >= self.limit["warn"]:
            yield self.finding(
                "rejected_connections",
                Status.WARN,
                f"{count:.0f} connections were rejected since the start: maxclients is {most:.0f}.",
                observed=count,
                threshold=self.limit["warn"],
                fix=f"CONFIG SET maxclients {max(10_000, 2 * most):.0f}; {KEEP} CONFIG RESETSTAT; "
                "-- the last begins the count anew",
                undo=f"CONFIG SET maxclients {most:.0f}",
            )


class KeepAlive(Rule):
    """Looks for a server that never notices that a client's machine is gone."""

    name = "keepalive"
    title = "connections kept to dead clients"
    needs = ("info", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        if setting(snapshot, "tcp-keepalive") == "0" and setting(snapshot, "timeout") == "0":
            yield self.finding(
                "tcp-keepalive",
                Status.WARN,
                "Neither tcp-keepalive nor timeout is set: connections of dead clients stay for ever.",
                observed=0,
                threshold=300,
                unit="s",
                fix=f"CONFIG SET tcp-keepalive 300; {KEEP}",
                undo="CONFIG SET tcp-keepalive 0",
            )


class OutputLimit(Rule):
    """Looks for replicas and subscribers whose unread output may take all memory."""

    name = "output_limit"
    title = "output buffers without a limit"
    needs = ("info", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        words = setting(snapshot, "client-output-buffer-limit").split()
        for kind, hard, soft, _ in zip(words[::4], words[1::4], words[2::4], words[3::4], strict=False):
            name = _KINDS.get(kind, kind)
            if name in _BOUNDS and hard == soft == "0":
                yield self.finding(
                    f"client-output-buffer-limit {name}",
                    Status.WARN,
                    f"A {'subscriber' if name == 'pubsub' else name} that does not read may take all memory.",
                    observed=0,
                    fix=f"CONFIG SET client-output-buffer-limit '{_BOUNDS[name]}'; {KEEP}",
                    undo=f"CONFIG SET client-output-buffer-limit '{name} 0 0 0'",
                )
