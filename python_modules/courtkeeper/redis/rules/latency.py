"""What made the server slow, and whether it would tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.rule import KEEP, Limit, Rule, setting, told
from courtkeeper.redis.snapshot import Snapshot

_HOUR_S = 3_600
# What helps against an event of the latency monitor (Redis docs on latency).
_CAUSES = {
    "fork": "huge pages off, less memory in one server, persistence on a replica",
    "command": "see SLOWLOG GET for the commands, and make them smaller",
    "fast-command": "the machine was busy or swapped: look at its CPU and memory",
    "aof-fsync-always": "CONFIG SET appendfsync everysec, or a faster disk",
    "aof-write-pending-fsync": "a faster disk, or no-appendfsync-on-rewrite yes",
    "expire-cycle": "spread the times to live, so that keys do not all expire at once",
    "eviction-cycle": "CONFIG SET lazyfree-lazy-eviction yes, and more memory",
    "active-defrag-cycle": "lower active-defrag-cycle-max",
}


class Monitor(Rule):
    """Looks for a server whose LATENCY DOCTOR is off."""

    name = "monitor"
    title = "latency monitors that are off"
    needs = ("info", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        if setting(snapshot, "latency-monitor-threshold") == "0":
            yield self.finding(
                "latency-monitor-threshold",
                Status.WARN,
                "The latency monitor is off: nobody will know what made the server slow.",
                observed=0,
                threshold=100,
                unit="ms",
                fix=f"CONFIG SET latency-monitor-threshold 100; {KEEP}",
                undo="CONFIG SET latency-monitor-threshold 0",
            )


class Events(Rule):
    """Looks for what held the server up within the last hour."""

    name = "events"
    title = "events that held the server up"
    needs = ("info", "events")
    limits: ClassVar = {"warn": Limit(100, "ms", "Redis docs: latency-monitor-threshold 100")}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        now = told(snapshot, "server_time_usec") / 1e6
        for event in snapshot.events:
            if now - event.at > _HOUR_S or event.latest_ms < self.limit["warn"]:
                continue
            yield self.finding(
                event.name,
                Status.WARN,
                f"{event.name} held the server up for {event.latest_ms} ms {now - event.at:.0f} s ago, "
                f"{event.most_ms} ms at worst.",
                observed=event.latest_ms,
                threshold=self.limit["warn"],
                unit="ms",
                fix=f"{_CAUSES.get(event.name, 'see LATENCY DOCTOR')}; then LATENCY RESET {event.name}",
            )


class SlowLog(Rule):
    """Looks for a server that notes no slow commands."""

    name = "slowlog"
    title = "slow logs that are off"
    needs = ("info", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        # Valkey 8.1 calls it commandlog-…, and knows the old name as well.
        least, length = setting(snapshot, "slowlog-log-slower-than"), setting(snapshot, "slowlog-max-len")
        if least.startswith("-") or length == "0":
            yield self.finding(
                "slowlog-log-slower-than",
                Status.WARN,
                "No slow command is noted: the slow log is off.",
                observed=least,
                threshold=10_000,
                unit="µs",
                fix=f"CONFIG SET slowlog-log-slower-than 10000 slowlog-max-len 128; {KEEP}",
                undo=f"CONFIG SET slowlog-log-slower-than {least} slowlog-max-len {length}",
            )


class SlowCommands(Rule):
    """Looks for commands that kept all others waiting within the last hour."""

    name = "slow_commands"
    title = "many slow commands"
    needs = ("info", "slow")
    limits: ClassVar = {
        "warn": Limit(10, "commands within an hour", "our choice"),
        "slow_ms": Limit(10, "ms", "the server's own slowlog-log-slower-than"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        now = told(snapshot, "server_time_usec") / 1e6
        slow = [
            entry
            for entry in snapshot.slow
            if now - entry.at <= _HOUR_S and entry.us >= 1000 * self.limit["slow_ms"]
        ]
        if len(slow) >= self.limit["warn"]:
            most = ", ".join(
                f"{name} ({count})" for name, count in Counter(e.command for e in slow).most_common(3)
            )
            yield self.finding(
                "SLOWLOG",
                Status.WARN,
                f"{len(slow)} slow commands within the last hour, most of them {most}; the slowest took "
                f"{max(entry.us for entry in slow) / 1000:.0f} ms.",
                observed=len(slow),
                threshold=self.limit["warn"],
                fix="SCAN instead of KEYS, smaller ranges, UNLINK instead of DEL; then SLOWLOG RESET",
            )


class HugePages(Rule):
    """Looks for a server that lets itself be given huge pages, which a fork copies whole."""

    name = "huge_pages"
    title = "servers with transparent huge pages"
    needs = ("info", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        if snapshot.config.get("disable-thp", "yes") == "no":
            yield self.finding(
                "disable-thp",
                Status.WARN,
                "The server does not turn transparent huge pages off for itself: after each fork a write "
                "copies 2 MB.",
                observed="no",
                threshold="yes",
                fix="write `disable-thp yes` into its configuration file and restart it",
            )
