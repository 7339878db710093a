"""Which settings a server should have, by its machine and its workload. Pure: no server is asked here.

Sources: the Postgres manual, and the formulas of PgTune (github.com/le0pard/pgtune) for a web application.
A setting that is anywhere near is left alone: these are rules of thumb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec

from courtkeeper.postgres.sizes import size

MB = 1024 * 1024
_UNITS = {"B": 1, "kB": 1024, "8kB": 8192, "MB": MB, "GB": 1024 * MB}


class Setting(msgspec.Struct, frozen=True):
    """A setting as pg_settings shows it: `setting` counts in `unit`; `source` says where it comes from."""

    name: str
    setting: str
    unit: str
    context: str
    source: str
    pending_restart: bool

    @property
    def number(self) -> float:
        """Return its value; sizes in bytes. Raises ValueError for one that is no number."""
        return float(self.setting) * _UNITS.get(self.unit, 1)

    @property
    def shown(self) -> str:
        """Return its value as a person reads it."""
        if self.unit in _UNITS and self.number >= 0:
            return size(self.number)
        return f"{self.setting} {self.unit}".strip()


class Machine(msgspec.Struct, frozen=True):
    """What the server runs on: memory in bytes, 0 where it is not known; CPUs likewise."""

    memory: int = 0
    cpus: int = 0
    storage: str = "unknown"


class Workload(msgspec.Struct, frozen=True):
    """What the server has done since its statistics began, `days` ago."""

    temp_files: int = 0
    temp_bytes: int = 0
    clients: int = 0
    days: float = 0.0
    checkpoints_timed: int = 0
    checkpoints_requested: int = 0


class Advice(msgspec.Struct, frozen=True):
    """A setting that should be another: the new value as ALTER SYSTEM takes it, why, and who says so."""

    name: str
    value: str
    reason: str
    source: str


class Facts(msgspec.Struct, frozen=True):
    """All that advice rests on."""

    machine: Machine
    workload: Workload
    settings: Mapping[str, Setting]

    def number(self, name: str) -> float | None:
        """Return a setting's value (sizes in bytes); None where the server does not have it."""
        known = self.settings.get(name)
        return None if known is None else known.number


Rule = Callable[[Facts], Advice | None]
_MANUAL = "the Postgres manual"
_PGTUNE = "PgTune, web application"
_LEAST_MEMORY = 1024 * MB  # below, the manual's quarter does not hold


def advise(facts: Facts) -> Iterator[Advice]:
    """Yield what should be other than it is."""
    for rule in RULES.values():
        found = rule(facts)
        if found is not None:
            yield found


def _shared_buffers(facts: Facts) -> Advice | None:
    memory, now = facts.machine.memory, facts.number("shared_buffers")
    if memory < _LEAST_MEMORY or now is None or 0.15 * memory <= now <= 0.40 * memory:
        return None
    return Advice(
        "shared_buffers",
        _megabytes(memory / 4),
        f"a quarter of the machine's {size(memory)}, and never over 40 %",
        f"{_MANUAL}, Resource Consumption: Memory",
    )


def _effective_cache_size(facts: Facts) -> Advice | None:
    memory, now = facts.machine.memory, facts.number("effective_cache_size")
    if memory < _LEAST_MEMORY or now is None or 0.4 * memory <= now <= 0.9 * memory:
        return None
    return Advice(
        "effective_cache_size",
        _megabytes(memory * 3 / 4),
        f"the planner should know that three quarters of {size(memory)} cache the data",
        _PGTUNE,
    )


def _maintenance_work_mem(facts: Facts) -> Advice | None:
    memory, now = facts.machine.memory, facts.number("maintenance_work_mem")
    wanted = min(memory / 16, 2048 * MB)
    if memory < _LEAST_MEMORY or now is None or now >= wanted / 2:
        return None
    return Advice(
        "maintenance_work_mem",
        _megabytes(wanted),
        "VACUUM and CREATE INDEX work with a sixteenth of the memory, 2 GB at most",
        _PGTUNE,
    )


def _work_mem(facts: Facts) -> Advice | None:
    memory, now = facts.machine.memory, facts.number("work_mem")
    connections = facts.number("max_connections")
    if memory < _LEAST_MEMORY or now is None or not connections:
        return None
    # Three sorts or hashes a connection, beside a quarter for the shared buffers.
    wanted = max(4 * MB, memory * 3 / 4 / (connections * 3))
    spills = facts.workload.temp_files
    if now * connections > memory and now > wanted:
        reason = f"{connections:.0f} connections with {size(now)} each may take more than {size(memory)}"
    elif spills and now < wanted / 2:
        reason = f"{spills} temporary files ({size(facts.workload.temp_bytes)}) were written for want of it"
    else:
        return None
    return Advice("work_mem", _megabytes(wanted), reason, _PGTUNE)


def _max_wal_size(facts: Facts) -> Advice | None:
    now, wanted = facts.number("max_wal_size"), 4096 * MB
    timed, requested = facts.workload.checkpoints_timed, facts.workload.checkpoints_requested
    # Ten, so that a restore or a start does not count for a habit.
    if now is None or now >= wanted or requested < 10 or requested <= timed:
        return None
    return Advice(
        "max_wal_size",
        "4GB",
        f"{requested} of {timed + requested} checkpoints were forced before their time by {size(now)} of WAL",
        f"{_MANUAL}, WAL Configuration; the size is PgTune's",
    )


def _checkpoint_completion_target(facts: Facts) -> Advice | None:
    now = facts.number("checkpoint_completion_target")
    if now is None or now >= 0.9:
        return None
    return Advice(
        "checkpoint_completion_target",
        "0.9",
        "a checkpoint is to be spread over the whole interval",
        f"{_MANUAL}: the default from 14 on",
    )


def _random_page_cost(facts: Facts) -> Advice | None:
    now = facts.number("random_page_cost")
    if facts.machine.storage != "ssd" or now is None or now <= 2:
        return None
    return Advice(
        "random_page_cost", "1.1", "on solid state a random page costs hardly more than the next one", _PGTUNE
    )


def _effective_io_concurrency(facts: Facts) -> Advice | None:
    now = facts.number("effective_io_concurrency")
    if facts.machine.storage != "ssd" or now is None or now >= 16:
        return None
    return Advice(
        "effective_io_concurrency", "200", "solid state answers hundreds of requests at once", _PGTUNE
    )


def _max_worker_processes(facts: Facts) -> Advice | None:
    return _workers(facts, "max_worker_processes")


def _max_parallel_workers(facts: Facts) -> Advice | None:
    return _workers(facts, "max_parallel_workers")


def _workers(facts: Facts, name: str) -> Advice | None:
    cpus, now = facts.machine.cpus, facts.number(name)
    if now is None or now >= cpus:
        return None
    return Advice(name, str(cpus), f"the machine has {cpus} CPUs", _PGTUNE)


def _switched_on(name: str, reason: str) -> Rule:
    def rule(facts: Facts) -> Advice | None:
        known = facts.settings.get(name)
        if known is None or known.setting == "on":
            return None
        return Advice(name, "on", reason, f"{_MANUAL}, Routine Vacuuming")

    return rule


def _autovacuum_cost_delay(facts: Facts) -> Advice | None:
    now = facts.number("autovacuum_vacuum_cost_delay")
    if now is None or now <= 2:
        return None
    return Advice(
        "autovacuum_vacuum_cost_delay",
        "2ms",
        "autovacuum sleeps ten times as long as it has to on today's disks",
        f"{_MANUAL}: the default from 12 on",
    )


RULES: Mapping[str, Rule] = {
    "shared_buffers": _shared_buffers,
    "effective_cache_size": _effective_cache_size,
    "maintenance_work_mem": _maintenance_work_mem,
    "work_mem": _work_mem,
    "max_wal_size": _max_wal_size,
    "checkpoint_completion_target": _checkpoint_completion_target,
    "random_page_cost": _random_page_cost,
    "effective_io_concurrency": _effective_io_concurrency,
    "max_worker_processes": _max_worker_processes,
    "max_parallel_workers": _max_parallel_workers,
    "autovacuum": _switched_on("autovacuum", "without it dead rows pile up until the server stops"),
    "track_counts": _switched_on("track_counts", "autovacuum works by these counts"),
    "autovacuum_vacuum_cost_delay": _autovacuum_cost_delay,
}
ASKED = (*RULES, "max_connections")


def pool_size(cpus: int) -> int:
    """Return how many connections are busy at best: twice the CPUs and one for the disk.

    Source: the PostgreSQL wiki, Number Of Database Connections.
    """
    return 2 * cpus + 1


def _megabytes(size_in_bytes: float) -> str:
    return f"{max(1, int(size_in_bytes / MB))}MB"
