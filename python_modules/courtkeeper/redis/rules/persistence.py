"""What would be lost: snapshots and the append-only file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.parse import whole
from courtkeeper.redis.rule import KEEP, Limit, Rule, setting, told
from courtkeeper.redis.snapshot import Snapshot

NETDATA = "Netdata: 600 / 1200 s"


class SnapshotFailed(Rule):
    """Looks for a BGSAVE that failed: with the usual settings no write is taken from then on."""

    name = "snapshot_failed"
    title = "snapshots that failed"

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        status = snapshot.info.get("rdb_last_bgsave_status", "ok")
        if status != "ok":
            refused = snapshot.config.get("stop-writes-on-bgsave-error", "yes") == "yes"
            yield self.finding(
                "BGSAVE",
                Status.CRIT,
                "The last snapshot failed"
                + (", and writes are refused until one works." if refused else "."),
                observed=status,
                threshold="ok",
                fix=f"mend {_directory(snapshot)} (is it there, writable, not full?) or the machine's memory "
                "for a fork; then BGSAVE",
            )


class SnapshotAge(Rule):
    """Looks for changes that should have been in a snapshot long ago, by the server's own `save`."""

    name = "snapshot_age"
    title = "snapshots overdue"
    needs = ("info", "config")
    limits: ClassVar = {
        "warn": Limit(600, "s past the time that `save` promises", NETDATA),
        "crit": Limit(1_200, "s past the time that `save` promises", NETDATA),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        words = setting(snapshot, "save").split()
        changes = told(snapshot, "rdb_changes_since_last_save")
        # Both by the server's clock: ours may be another.
        age = told(snapshot, "server_time_usec") / 1e6 - told(snapshot, "rdb_last_save_time")
        points = list(zip(map(whole, words[::2]), map(whole, words[1::2]), strict=False))
        late = max((age - seconds for seconds, least in points if changes >= least), default=0)
        status = self.graded(late)
        if status is not Status.OK:
            yield self.finding(
                "BGSAVE",
                status,
                f"{changes:.0f} changes of the last {age:.0f} s are in no snapshot, {late:.0f} s longer than "
                "`save` promises.",
                observed=round(late),
                threshold=self.limit[status],
                unit="s",
                fix="BGSAVE; -- and see the server's log for why it was not done",
            )


class SnapshotSlow(Rule):
    """Looks for a snapshot that does not come to its end."""

    name = "snapshot_slow"
    title = "snapshots that take too long"
    limits: ClassVar = {
        "warn": Limit(600, "s that a BGSAVE runs", NETDATA),
        "crit": Limit(1_200, "s that a BGSAVE runs", NETDATA),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        seconds = told(snapshot, "rdb_current_bgsave_time_sec")
        status = self.graded(seconds)
        if status is not Status.OK:
            yield self.finding(
                "BGSAVE",
                status,
                f"A snapshot has been under way for {seconds:.0f} s.",
                observed=seconds,
                threshold=self.limit[status],
                unit="s",
                fix=f"look at the disk under {_directory(snapshot)} and at what else writes to it",
            )


class AofFailed(Rule):
    """Looks for an append-only file that cannot be written, or could not be written anew."""

    name = "aof_failed"
    title = "errors of the append-only file"

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        info = snapshot.info
        if info.get("aof_enabled", "0") == "0":
            return
        if info.get("aof_last_write_status", "ok") != "ok":
            yield self.finding(
                "append-only file",
                Status.CRIT,
                "The append-only file could not be written; writes are refused until it can.",
                observed=info["aof_last_write_status"],
                threshold="ok",
                fix=f"make room under {_directory(snapshot)} or mend the disk; the server goes on by itself",
            )
        if info.get("aof_last_bgrewrite_status", "ok") != "ok":
            yield self.finding(
                "BGREWRITEAOF",
                Status.WARN,
                "The append-only file could not be written anew: it grows and grows.",
                observed=info["aof_last_bgrewrite_status"],
                threshold="ok",
                fix=f"mend {_directory(snapshot)} (is it there, writable, not full?); then BGREWRITEAOF",
            )


class Nothing(Rule):
    """Looks for data meant to stay (it is never evicted and does not expire) that no file holds.

    With replicas it is critical: a master that comes back empty empties them too (Redis docs, replication).
    """

    name = "none"
    title = "data to keep that no file holds"
    needs = ("info", "config")
    limits: ClassVar = {"warn": Limit(1, "keys without a time to live", "our choice")}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        stored = setting(snapshot, "save") or setting(snapshot, "appendonly") == "yes"
        endless = sum(one.keys - one.expires for one in snapshot.databases.values())
        if stored or snapshot.info.get("maxmemory_policy") != "noeviction" or endless < self.limit["warn"]:
            return
        replicas = snapshot.number("connected_slaves", 0)
        yield self.finding(
            "appendonly",
            Status.CRIT if replicas else Status.WARN,
            f"{endless:,} keys are to stay for ever, and neither snapshot nor append-only file holds them"
            + (": if the server restarts, its replicas are emptied too." if replicas else "."),
            fix=f"CONFIG SET appendonly yes; {KEEP} -- for a cache: CONFIG SET maxmemory-policy allkeys-lru",
            undo="CONFIG SET appendonly no",
        )


class Fsync(Rule):
    """Looks for an append-only file that is left to the kernel, which writes it every 30 seconds."""

    name = "fsync"
    title = "append-only files without fsync"
    needs = ("info", "config")

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        if setting(snapshot, "appendonly") == "yes" and setting(snapshot, "appendfsync") == "no":
            yield self.finding(
                "appendfsync",
                Status.WARN,
                "The append-only file is written to disk when the kernel likes: half a minute may be lost.",
                observed="no",
                threshold="everysec",
                fix=f"CONFIG SET appendfsync everysec; {KEEP}",
                undo="CONFIG SET appendfsync no",
            )


def _directory(snapshot: Snapshot) -> str:
    return snapshot.config.get("dir") or "the server's directory"
