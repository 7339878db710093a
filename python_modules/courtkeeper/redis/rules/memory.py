"""Memory: its limit, what is evicted, and what is lost between the data and the operating system.

The thresholds of MEMORY DOCTOR (`object.c`) are judged from the numbers, so that a server is judged whose
DOCTOR may not be asked or says nothing: it is silent under 5 MB of data, whatever the process holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from courtkeeper.findings import Finding, Status
from courtkeeper.redis.rule import KEEP, MIB, Limit, Rule, megabytes, told
from courtkeeper.redis.snapshot import Snapshot

DOCTOR = "MEMORY DOCTOR (object.c)"
# ElastiCache keeps a quarter of the memory free for forks, buffers and fragmentation.
_SHARE_OF_SYSTEM = 0.75
# Full at this share after the fix, so that the finding does not come back at once.
_ROOMY = 0.6


class NoLimit(Rule):
    """Looks for a server that may take all memory there is, until the kernel kills it or a neighbour."""

    name = "limit"
    title = "servers without maxmemory"

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        if told(snapshot, "maxmemory"):
            return
        system = told(snapshot, "total_system_memory")
        limit = max(_SHARE_OF_SYSTEM * system, 1.25 * told(snapshot, "used_memory"))
        yield self.finding(
            "maxmemory",
            Status.WARN,
            f"maxmemory is not set: the server may take all {megabytes(system)} of its machine.",
            observed=0,
            fix=f"CONFIG SET maxmemory {limit:.0f}; {KEEP} -- less where others run on the machine",
            undo="CONFIG SET maxmemory 0",
        )


class Use(Rule):
    """Looks for memory near its limit; critical where nothing can be evicted, for writes will fail."""

    name = "use"
    title = "shortages of memory"
    limits: ClassVar = {
        "warn": Limit(80, "% of maxmemory", "reference: 80 %"),
        "crit": Limit(95, "% of maxmemory, where nothing can be evicted", "our choice"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        limit = told(snapshot, "maxmemory")
        used = told(snapshot, "used_memory") - (snapshot.number("mem_not_counted_for_evict", 0) or 0)
        share = 100 * used / limit if limit else 0
        if share < self.limit["warn"]:
            return
        policy = snapshot.info.get("maxmemory_policy", "")
        evicts = policy.startswith("allkeys") or (
            policy.startswith("volatile") and any(one.expires for one in snapshot.databases.values())
        )
        status = Status.CRIT if share >= self.limit["crit"] and not evicts else Status.WARN
        then = "keys are evicted when it is full" if evicts else "writes are refused when it is full"
        yield self.finding(
            "maxmemory",
            status,
            f"{share:.0f} % of maxmemory ({megabytes(limit)}) is used; {then} ({policy}).",
            observed=round(share, 1),
            threshold=self.limit["crit" if status is Status.CRIT else "warn"],
            unit="%",
            fix=_more_memory(snapshot, used),
            undo=f"CONFIG SET maxmemory {limit:.0f}",
        )


class Policy(Rule):
    """Looks for an eviction policy that finds nothing to evict: writes will fail when memory is full."""

    name = "policy"
    title = "eviction policies that fit no key"
    limits: ClassVar = {
        "warn": Limit(1, "% of the keys with a time to live", "our choice"),
        "keys": Limit(100, "keys, to say anything", "our choice"),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        policy = snapshot.info.get("maxmemory_policy", "")
        keys = sum(one.keys for one in snapshot.databases.values())
        share = 100 * sum(one.expires for one in snapshot.databases.values()) / max(1, keys)
        if not policy.startswith("volatile") or not told(snapshot, "maxmemory"):
            return
        if keys >= self.limit["keys"] and share < self.limit["warn"]:
            yield self.finding(
                "maxmemory-policy",
                Status.WARN,
                f"{policy} evicts only keys with a time to live, and {share:.1f} % of {keys:,} keys have "
                "one: writes will be refused when memory is full.",
                observed=round(share, 2),
                threshold=self.limit["warn"],
                unit="%",
                fix=f"CONFIG SET maxmemory-policy allkeys-lru; {KEEP} -- or give the keys an EXPIRE",
                undo=f"CONFIG SET maxmemory-policy {policy}",
            )


class Peak(Rule):
    """Looks for memory that was needed once and that the process still holds.

    DOCTOR speaks of any peak; one whose memory is back with the operating system harms nobody.
    """

    name = "peak"
    title = "peaks whose memory is still held"
    limits: ClassVar = {
        "warn": Limit(1.5, "times the memory used now", DOCTOR),
        "least_mb": Limit(10, "MB between peak and now, and held", DOCTOR),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        used, peak = told(snapshot, "used_memory"), told(snapshot, "used_memory_peak")
        held = told(snapshot, "used_memory_rss") - told(snapshot, "used_memory")
        least = self.limit["least_mb"] * MIB
        if not _large(snapshot) or min(peak - used, held) < least or peak < self.limit["warn"] * used:
            return
        yield self.finding(
            "used_memory_peak",
            Status.WARN,
            f"The server once used {megabytes(peak)}, uses {megabytes(used)} now and still holds "
            f"{megabytes(held)} more than that.",
            observed=round(peak / max(1, used), 2),
            threshold=self.limit["warn"],
            fix="MEMORY PURGE; -- where that does not help, restart it, or let new data use it",
        )


class _Lost(Rule):
    """Memory lost between two layers: a ratio and an amount, both over their limits."""

    ratio: ClassVar[str]
    amount: ClassVar[str]
    words: ClassVar[str]

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        ratio, amount = told(snapshot, self.ratio), told(snapshot, self.amount)
        if not _large(snapshot) or ratio <= self.limit["warn"]:
            return
        if amount > self.limit["least_mb"] * MIB:
            yield self.finding(
                self.ratio,
                Status.WARN,
                f"{self.words}: {ratio:.2f} times what is used, {megabytes(amount)} more.",
                observed=round(ratio, 2),
                threshold=self.limit["warn"],
            )


def _lost_limits(ratio: float, least_mb: float = 10, source: str = DOCTOR) -> dict[str, Limit]:
    return {"warn": Limit(ratio, "times", DOCTOR), "least_mb": Limit(least_mb, "MB lost", source)}


class Fragmentation(_Lost):
    """Looks for a process much larger than its data, whatever the reason.

    DOCTOR says so from 10 MB on, which is what the program's own pages take where nothing is wrong.
    """

    name = "fragmentation"
    title = "processes much larger than their data"
    ratio, amount = "mem_fragmentation_ratio", "mem_fragmentation_bytes"
    words = "The process is much larger than its data"
    fix = "MEMORY PURGE; -- where that does not help, restart it, its replica first"
    limits: ClassVar = _lost_limits(1.4, 25, "MEMORY DOCTOR's 10 MB, and 15 MB for the program itself")


class AllocatorFragmentation(_Lost):
    """Looks for pages that are used in part only: many values went, and others between them stayed."""

    name = "allocator_fragmentation"
    title = "pages used in part only"
    ratio, amount = "allocator_frag_ratio", "allocator_frag_bytes"
    words = "The allocator's pages are used in part only"
    fix = "CONFIG SET activedefrag yes; -- where the build refuses that, restart it, its replica first"
    limits: ClassVar = _lost_limits(1.1)


class AllocatorRss(_Lost):
    """Looks for pages that the allocator keeps although they are empty."""

    name = "allocator_rss"
    title = "empty pages kept by the allocator"
    ratio, amount = "allocator_rss_ratio", "allocator_rss_bytes"
    words = "The allocator keeps empty pages"
    fix = "MEMORY PURGE;"
    limits: ClassVar = _lost_limits(1.1)


class ProcessRss(_Lost):
    """Looks for memory of the process that is not the allocator's: scripts, modules, buffers of threads."""

    name = "process_rss"
    title = "processes with much memory beside the allocator's"
    ratio, amount = "rss_overhead_ratio", "rss_overhead_bytes"
    words = "The process has much memory beside the allocator's"
    fix = "see INFO memory for scripts and functions, MODULE LIST for modules; a restart gives it back"
    limits: ClassVar = _lost_limits(1.1)


class Swapped(Rule):
    """Looks for data that is not in memory: the process is smaller than what it holds."""

    name = "swapped"
    title = "servers that were swapped out"
    limits: ClassVar = {
        "warn": Limit(0.9, "of the data in memory", "Redis docs on INFO: a ratio below 1 is swap"),
        "least_mb": Limit(10, "MB swapped", DOCTOR),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        used, resident = told(snapshot, "used_memory"), told(snapshot, "used_memory_rss")
        if resident < self.limit["warn"] * used and used - resident > self.limit["least_mb"] * MIB:
            yield self.finding(
                "used_memory_rss",
                Status.WARN,
                f"Of {megabytes(used)} only {megabytes(resident)} are in memory: the rest was swapped out.",
                observed=round(resident / used, 2),
                threshold=self.limit["warn"],
                fix="give the machine more memory or the server a lower maxmemory, and vm.swappiness 1",
            )


class ClientBuffers(Rule):
    """Looks for clients that do not read what they asked for, or write very large commands."""

    name = "clients"
    title = "clients with large buffers"
    limits: ClassVar = {"warn": Limit(200, "KB a client on average", DOCTOR)}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        clients = max(1, told(snapshot, "connected_clients") - (snapshot.number("connected_slaves", 0) or 0))
        average = told(snapshot, "mem_clients_normal") / clients / 1024
        if average <= self.limit["warn"]:
            return
        most = max(snapshot.clients, key=lambda client: client.memory, default=None)
        who = most and (most.name or most.address)
        yield self.finding(
            "mem_clients_normal",
            Status.WARN,
            f"A client takes {average:.0f} KB on average"
            + (f"; most of all {who} with {megabytes(most.memory)}." if most else "."),
            observed=round(average),
            threshold=self.limit["warn"],
            unit="KB",
            fix=(f"CLIENT KILL ID {most.number}; " if most else "")
            + "-- better: mend that client (read faster, smaller pipelines), or limit it by "
            "CONFIG SET client-output-buffer-limit 'normal 256mb 64mb 60'",
        )


class ReplicaBuffers(Rule):
    """Looks for replicas that cannot follow."""

    name = "replicas"
    title = "replicas with large buffers"
    limits: ClassVar = {"warn": Limit(10, "MB a replica", DOCTOR)}

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        replicas = told(snapshot, "connected_slaves")
        if not replicas:
            return
        # From 7.0 on replicas share one buffer with the backlog, which is there in any case.
        shared = (snapshot.number("mem_total_replication_buffers", 0) or 0) - max(
            snapshot.number("mem_replication_backlog", 0) or 0, snapshot.number("repl_backlog_size", 0) or 0
        )
        average = max(told(snapshot, "mem_clients_slaves") / replicas, shared) / MIB
        if average > self.limit["warn"]:
            yield self.finding(
                "mem_clients_slaves",
                Status.WARN,
                f"What a replica has still to read takes {average:.0f} MB.",
                observed=round(average, 1),
                threshold=self.limit["warn"],
                unit="MB",
                fix="look at the replica's load and network; CONFIG SET client-output-buffer-limit bounds it",
            )


class Scripts(Rule):
    """Looks for scripts that are made anew for each call instead of taking parameters."""

    name = "scripts"
    title = "many cached scripts"
    limits: ClassVar = {
        "warn": Limit(10, "cached Lua scripts", "RedisInsight"),
        "crit": Limit(1_000, "cached Lua scripts", DOCTOR),
    }

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        count = told(snapshot, "number_of_cached_scripts")
        if count > self.limit["warn"]:
            many = count > self.limit["crit"]
            yield self.finding(
                "number_of_cached_scripts",
                Status.CRIT if many else Status.WARN,
                f"{count:.0f} Lua scripts are cached; the server keeps each for ever.",
                observed=count,
                threshold=self.limit["crit" if many else "warn"],
                fix="SCRIPT FLUSH ASYNC; -- and let the application hand over values as KEYS and ARGV",
            )


def _large(snapshot: Snapshot) -> bool:
    """Whether ratios mean anything: 5 MB of data (as DOCTOR has it), or a process of ten times that."""
    return told(snapshot, "used_memory") >= 5 * MIB or told(snapshot, "used_memory_rss") >= 50 * MIB


def _more_memory(snapshot: Snapshot, used: float) -> str:
    wanted = used / _ROOMY
    system = snapshot.number("total_system_memory", 0) or 0
    if wanted > _SHARE_OF_SYSTEM * system:
        return "give the machine more memory, move keys to another server, or let more keys expire"
    return f"CONFIG SET maxmemory {wanted:.0f}; {KEEP} -- or let more keys expire"
