"""Which services an upgrade restarts, and which still run files that were replaced.

Two ways lead from a package to a service: it ships the unit (its maintainer script restarts it), or a
process of the service executes one of its files (what needrestart would ask to restart).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from courtkeeper.hosts import commands
from courtkeeper.hosts.patching import parse

ASK_S = 30
_SHOWN = "Id,ActiveState,SubState,InvocationID,NRestarts,UnitFileState,BusName,TriggeredBy"
# Nobody's services: they come and go by themselves.
PASSING = ("run-*.service", "user@*.service", "user-runtime-dir@*.service", "apt-daily*.service")


class Process(msgspec.Struct, frozen=True):
    """A process of a service: the files of packages it executes, and those of them that were replaced."""

    unit: str
    files: frozenset[str]
    replaced: frozenset[str]


class Unit(msgspec.Struct, frozen=True):
    """A service as systemd sees it; `invocation` changes with every start."""

    active: str
    sub: str
    invocation: str
    restarts: str
    state: str = ""  # of its file: enabled, static, …
    calls: str = ""  # the bus name or the sockets, timers and paths that start it on demand

    @property
    def comes_back(self) -> bool:
        """Whether a reboot starts it; `static` says nothing about that."""
        return self.state.startswith("enabled") or self.state in {"generated", "alias", "indirect"}

    @property
    def is_job(self) -> bool:
        """Whether `systemd-run` made it: it ends when it is done, and a restart would begin it again."""
        return self.state == "transient"

    @property
    def runs(self) -> bool:
        """Whether it has processes now, and not only once had."""
        return self.active in {"active", "reloading"} and self.sub in {"running", "reload", "reloading"}


def matches(unit: str, patterns: list[str]) -> bool:
    """Tell whether `unit` fits one of `patterns`, written with or without `.service`."""
    short = unit.removesuffix(".service")
    return any(fnmatchcase(unit, p) or fnmatchcase(short, p) for p in patterns)


def active() -> list[str]:
    """Return the services that are active, without those that come and go by themselves."""
    said = commands.run(
        ["systemctl", "list-units", "--type=service", "--state=active", "--plain", "--no-legend", "--full"],
        timeout_s=ASK_S,
    ).stdout
    units = [line.split()[0] for line in said.splitlines() if line.split()]
    return sorted(unit for unit in units if not matches(unit, list(PASSING)))


def expected() -> list[str]:
    """Return the active services that have to go on: not those that end by themselves until called."""
    seen = units(active())
    return [name for name, unit in seen.items() if unit.comes_back or not (unit.calls or unit.is_job)]


def running() -> list[str]:
    """Return the services that a restart brings to new files.

    What is only configuration is none (`ifup@eth0`: its stop takes the network down), and no job is.
    """
    return [name for name, unit in units(active()).items() if unit.runs and not unit.is_job]


def units(names: list[str]) -> dict[str, Unit]:
    """Return how each of `names` is; one that is gone is inactive."""
    if not names:
        return {}
    said = commands.run(["systemctl", "show", "-p", _SHOWN, "--", *names], timeout_s=ASK_S).stdout
    # In the order asked for: an alias answers with its real name.
    return {
        name: Unit(
            p.get("ActiveState", ""),
            p.get("SubState", ""),
            p.get("InvocationID", ""),
            p.get("NRestarts", ""),
            p.get("UnitFileState", ""),
            p.get("BusName", "") or p.get("TriggeredBy", ""),
        )
        for name, p in zip(names, parse.properties(said), strict=False)
    }


def processes() -> list[Process]:
    """Return the processes that belong to services. One that ends while it is looked at is left out."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            unit = parse.unit_of((directory / "cgroup").read_text(errors="replace"))
            if not unit:
                continue
            present, replaced = parse.mapped((directory / "maps").read_text(errors="replace"))
            words = (directory / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        # A script is mapped by nobody, but it stands in the command line behind its interpreter.
        present |= {parse.canonical(word) for word in words[:3] if word.startswith("/")}
        found.append(Process(unit, frozenset(present), frozenset(replaced)))
    return found


def hits(
    files: dict[str, set[str]], running: list[str], seen: list[Process]
) -> tuple[dict[str, list[str]], set[str]]:
    """Return the running services that an upgrade of packages with `files` restarts, with those packages.

    Beside them the ones of which a package ships the unit, so that its own scripts restart them.
    """
    found: dict[str, set[str]] = {}
    shipped = set()
    for package, paths in files.items():
        patterns = [unit.replace("@.service", "@*.service") for unit in parse.units_in(paths)]
        for unit in running:
            if any(fnmatchcase(unit, pattern) for pattern in patterns):
                found.setdefault(unit, set()).add(package)
                shipped.add(unit)
        for process in seen:
            if process.unit in running and process.files & paths:
                found.setdefault(process.unit, set()).add(package)
    return {unit: sorted(packages) for unit, packages in sorted(found.items())}, shipped


def stale(seen: list[Process]) -> dict[str, list[str]]:
    """Return the services that still execute files which were replaced, with those files."""
    found: dict[str, set[str]] = {}
    for process in seen:
        if process.replaced:
            found.setdefault(process.unit, set()).update(process.replaced)
    return {unit: sorted(paths) for unit, paths in sorted(found.items())}
