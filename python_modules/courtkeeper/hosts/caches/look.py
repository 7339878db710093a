"""See what `judge` judges and `plan` plans from: the one place that asks the host, and changes nothing."""

from __future__ import annotations

import msgspec

from courtkeeper.hosts import commands
from courtkeeper.hosts.caches import config
from courtkeeper.hosts.caches.config import ServerConfig
from courtkeeper.hosts.caches.host import KEYS, PATHS, THP, Host, Unit, queues
from courtkeeper.hosts.caches.persisted import Booted
from courtkeeper.hosts.caches.settings import Wanted


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """One setting of the kernel: now, after a boot, what it is to be, and whether it can be set from here."""

    name: str
    value: str | None
    after_boot: Booted | None
    wanted: str
    writable: bool

    @property
    def subject(self) -> str:
        """Return what findings call it."""
        return KEYS.get(self.name, PATHS[self.name])

    def satisfied(self, value: str | None) -> bool:
        """Tell whether `value` will do; `never` is stricter than `madvise`, a longer queue than asked for."""
        if value is None:
            return self.name == THP  # a kernel without them
        if self.name == THP:
            return value in {self.wanted, "never"}
        if self.name == "somaxconn":
            return value.isdecimal() and int(value) >= int(self.wanted)
        return value == self.wanted


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A server's process: the files it may open, its shortest queue (None: unknown), and huge pages."""

    open_files: int | None
    queue: int | None
    huge_pages: bool


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A server: its unit, what its configuration asks of the host, and its process, if it runs."""

    unit: Unit
    config: ServerConfig
    wanted_files: int
    running: Running | None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was looked at."""

    kernel: dict[str, Kernel]
    services: list[Service]
    clock: str
    clocks: list[str]
    problem: str  # why queues are unknown, empty where they are known


def see(wanted: Wanted, host: Host) -> Seen:
    """Gather everything. Raises ConfigurationError for a unit or a file that the host lacks."""
    configs = [config.load(server.config_file, host.root) for server in wanted.servers]
    units = [host.unit(server.service) for server in wanted.servers]
    shortest, problem = _queues(host)
    needed = {
        THP: wanted.transparent_huge_pages,
        "overcommit_memory": str(wanted.overcommit_memory),
        "somaxconn": str(max(each.backlog for each in configs)),
    }
    clock, clocks = host.clocks()
    return Seen(
        kernel={name: _kernel(host, name, value) for name, value in needed.items()},
        services=[
            Service(
                unit=unit,
                config=each,
                wanted_files=max(each.files, wanted.open_files),
                running=_running(host, unit.pid, shortest) if unit.pid else None,
            )
            for unit, each in zip(units, configs, strict=True)
        ],
        clock=clock,
        clocks=clocks,
        problem=problem,
    )


def _kernel(host: Host, name: str, wanted: str) -> Kernel:
    writable = host.writable(name)
    return Kernel(
        name=name,
        value=host.value(name),
        # What this host's files say means nothing where the kernel is another machine's.
        after_boot=host.after_boot(name) if writable else None,
        wanted=wanted,
        writable=writable,
    )


def _running(host: Host, pid: int, shortest: dict[int, int]) -> Running:
    return Running(
        open_files=host.open_files(pid), queue=shortest.get(pid), huge_pages=host.gets_huge_pages(pid)
    )


def _queues(host: Host) -> tuple[dict[int, int], str]:
    try:
        return queues(host.units.listening()), ""
    except commands.CommandError as error:
        return {}, str(error)
