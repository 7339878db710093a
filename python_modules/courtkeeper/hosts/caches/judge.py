"""Judge a host: pure, from what `look` has seen. Nothing here asks anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from courtkeeper.findings import Finding, Status
from courtkeeper.hosts.caches.host import ENDLESS, THP
from courtkeeper.hosts.caches.look import Kernel, Seen, Service
from courtkeeper.hosts.caches.plan import SYSCTL, TMPFILES

# Sources that the kernel reads over slow hardware, or that Redis's own --check-system (syscheck.c) names.
SLOW_CLOCKS = {"xen", "hpet", "acpi_pm", "jiffies"}
ELSEWHERE = "it cannot be set from here (in a container it belongs to the machine below)"
# Why each matters: `redis-server --check-system` (syscheck.c), and the warnings of its start (server.c).
WHY = {
    THP: "a fork then copies 2 MB where 4 kB changed, which costs memory and latency",
    "overcommit_memory": "a background save or a new replica can fail although memory is free",
    "somaxconn": "the kernel cuts the server's tcp-backlog down to it, and drops connections of a rush",
}


def judge(seen: Seen) -> Iterator[Finding]:
    """Return a finding for each thing looked at."""
    for kernel in seen.kernel.values():
        yield _setting(kernel, seen)
        yield from _after_boot(kernel)
    for service in seen.services:
        yield _open_files(service)
        yield from _running_files(service)
        yield from _backlog(service, seen)
    yield _clock(seen)


def _setting(kernel: Kernel, seen: Seen) -> Finding:
    """A setting as the kernel has it now."""
    status, summary, fix = Status.OK, f"{kernel.subject} is {kernel.value}.", ""
    if kernel.value is None and kernel.name == THP:
        summary = "This kernel has no transparent huge pages."
    elif kernel.value is None:
        status, summary = Status.UNKNOWN, f"{kernel.subject} cannot be read."
        fix = "run as root of the host"
    elif not kernel.satisfied(kernel.value):
        if kernel.name == THP and _opted_out(seen):
            summary = f"The kernel's huge pages are {kernel.value}, and the servers opted out (disable-thp)."
        else:
            status, fix = Status.WARN, _fix(kernel)
            summary = f"{kernel.subject} is {kernel.value} and should be {kernel.wanted}: {WHY[kernel.name]}."
    return Finding(
        id=f"redis.host.{kernel.name}",
        subject=kernel.subject,
        status=status,
        observed=kernel.value,
        threshold=kernel.wanted,
        summary=summary,
        fix=fix,
    )


def _opted_out(seen: Seen) -> bool:
    """Tell whether every server runs and gets no huge pages of its own accord."""
    return all(each.running and not each.running.huge_pages for each in seen.services)


def _fix(kernel: Kernel) -> str:
    if not kernel.writable:
        return f"{ELSEWHERE}: set it to {kernel.wanted} on that machine"
    return f"redis_host_change: [{kernel.name}]"


def _after_boot(kernel: Kernel) -> Iterator[Finding]:
    """A setting that is right until the next boot."""
    later = kernel.after_boot
    if later is None or not kernel.satisfied(kernel.value) or kernel.satisfied(later.value):
        return
    who = f"{later.where} says so" if later.where else "no file in sysctl.d sets it"
    yield Finding(
        id="redis.host.after_reboot",
        subject=kernel.subject,
        status=Status.WARN,
        observed=later.value,
        threshold=kernel.wanted,
        summary=f"{kernel.subject} is {kernel.value} now and {later.value} after a reboot: {who}.",
        fix=f"mend {later.where}, which counts more than our file"
        if _counts_more(kernel, later.where)
        else f"redis_host_change: [{kernel.name}]",
    )


def _counts_more(kernel: Kernel, where: str) -> bool:
    """Tell whether a file of somebody else's holds against ours, by the order of their names."""
    name = PurePath(where.rpartition(":")[0]).name
    if kernel.name == THP:
        return bool(name) and name < PurePath(TMPFILES).name
    return name > PurePath(SYSCTL).name


def _open_files(service: Service) -> Finding:
    """The limit that the unit gives its next process."""
    unit, need = service.unit, service.config.files
    good = unit.limit >= need
    return Finding(
        id="redis.host.open_files",
        subject=unit.id,
        status=Status.OK if good else Status.WARN,
        observed=unit.limit,
        threshold=need,
        unit="files",
        summary=f"{unit.id} may open {unit.limit if unit.limit < ENDLESS else 'any number of'} files and "
        f"needs {need} for maxclients {service.config.maxclients}"
        f"{'' if good else ': it lowers maxclients when it starts'}.",
        fix="" if good else "redis_host_change: [open_files], or lower maxclients",
    )


def _running_files(service: Service) -> Iterator[Finding]:
    """A process that has less than its unit would give it now."""
    unit, need = service.unit, service.config.files
    if service.running is None:
        yield Finding(
            id="redis.host.running",
            subject=unit.id,
            status=Status.SKIPPED,
            summary=f"{unit.id} does not run: its process was not looked at.",
            fix=f"systemctl start {unit.id}",
        )
        return
    has = service.running.open_files
    if has is not None and unit.limit >= need > has:
        yield Finding(
            id="redis.host.restart",
            subject=f"{unit.id} open files",
            status=Status.WARN,
            observed=has,
            threshold=need,
            unit="files",
            summary=f"{unit.id} was started with a limit of {has} files and needs {need}.",
            fix=f"systemctl restart {unit.id}",
        )


def _backlog(service: Service, seen: Seen) -> Iterator[Finding]:
    """A process that listens with a shorter queue than the kernel would give it now."""
    if service.running is None:
        return
    has, need, kernel = service.running.queue, service.config.backlog, seen.kernel["somaxconn"]
    if seen.problem:
        yield Finding(
            id="redis.host.restart",
            subject=f"{service.unit.id} tcp-backlog",
            status=Status.UNKNOWN,
            summary=f"With which queue {service.unit.id} listens could not be found out: {seen.problem}",
            fix="install iproute2",
        )
    elif has is not None and has < need and kernel.satisfied(kernel.value):
        yield Finding(
            id="redis.host.restart",
            subject=f"{service.unit.id} tcp-backlog",
            status=Status.WARN,
            observed=has,
            threshold=need,
            unit="connections",
            summary=f"{service.unit.id} listens with a queue of {has}, and its tcp-backlog is {need}.",
            fix=f"systemctl restart {service.unit.id}",
        )


def _clock(seen: Seen) -> Finding:
    """The clock that every command of a server is timed by. It is looked at only."""
    status, summary, fix = Status.OK, f"The clock source is {seen.clock}.", ""
    if not seen.clock:
        status, summary = Status.UNKNOWN, "The clock source cannot be read."
    elif seen.clock in SLOW_CLOCKS:
        status = Status.WARN
        summary = f"The clock source is {seen.clock}, which is slow to read, and each command is timed by it."
        fix = (
            "boot with clocksource=tsc"
            if "tsc" in seen.clocks
            else "ask who runs the machine for a faster one"
        )
    return Finding(
        id="redis.host.clocksource",
        subject="clocksource",
        status=status,
        observed=seen.clock or None,
        summary=summary,
        fix=fix,
    )
