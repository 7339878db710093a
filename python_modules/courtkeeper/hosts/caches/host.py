"""The host's side of the world: kernel settings by name, below a root directory, and systemd's units."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.hosts import commands
from courtkeeper.hosts.caches import persisted
from courtkeeper.hosts.caches.persisted import Booted

ASK_S = 30
CHANGE_S = 60
THP = "transparent_huge_pages"
PATHS = {
    THP: "/sys/kernel/mm/transparent_hugepage/enabled",
    "overcommit_memory": "/proc/sys/vm/overcommit_memory",
    "somaxconn": "/proc/sys/net/core/somaxconn",
}
KEYS = {"overcommit_memory": "vm.overcommit_memory", "somaxconn": "net.core.somaxconn"}
# What the kernel itself begins with (Documentation/admin-guide/sysctl; somaxconn since 5.4).
DEFAULTS = {"overcommit_memory": "0", "somaxconn": "4096"}
CLOCK = "/sys/devices/system/clocksource/clocksource0"
LISTENING = re.compile(r"LISTEN\s+[0-9]+\s+([0-9]{1,9})\s.*\bpid=([0-9]+),")
ENDLESS = 2**63


class Unit(msgspec.Struct, frozen=True):
    """A service as systemd knows it: its true name, LimitNOFILE, main process (0 where it does not run).

    `stale`: its files were changed and systemd has not read them again.
    """

    id: str
    limit: int
    pid: int
    stale: bool = False


class Units(Protocol):
    """What is asked of systemd, and the kernel's list of sockets."""

    def show(self, service: str) -> Unit | None:
        """Return the unit; None where there is none of the name."""

    def reload(self) -> None:
        """Let systemd read the unit files again."""

    def listening(self) -> str:
        """Return what `ss` says of TCP sockets that listen. Raises CommandError."""


class Systemd:
    """The host's own systemd and ss."""

    def show(self, service: str) -> Unit | None:
        """Ask `systemctl show`."""
        said = commands.run(
            [
                "systemctl",
                "show",
                "--property=Id,LoadState,LimitNOFILE,MainPID,NeedDaemonReload",
                "--",
                service,
            ],
            timeout_s=ASK_S,
        )
        return parse_unit(said.stdout)

    def reload(self) -> None:
        """Run `systemctl daemon-reload`. Raises CommandError."""
        commands.run(["systemctl", "daemon-reload"], timeout_s=CHANGE_S)

    def listening(self) -> str:
        """Run `ss`. Raises CommandError where it is not installed."""
        return commands.run(["ss", "-Hltnp"], timeout_s=ASK_S).stdout


def parse_unit(text: str) -> Unit | None:
    """Return the unit that `systemctl show` speaks of; None where it is not loaded."""
    facts = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if facts.get("LoadState") in {None, "", "not-found"} or not facts.get("Id"):
        return None
    limit = facts.get("LimitNOFILE", "")
    return Unit(
        facts["Id"],
        ENDLESS if limit == "infinity" else _number(limit),
        _number(facts.get("MainPID")),
        stale=facts.get("NeedDaemonReload") == "yes",
    )


def queues(text: str) -> dict[int, int]:
    """Return the shortest queue of each process, by its id, from what `ss -Hltnp` says."""
    found: dict[int, int] = {}
    for line in text.splitlines():
        if match := LISTENING.match(line):
            queue, pid = int(match[1]), _number(match[2])
            found[pid] = min(queue, found.get(pid, queue))
    return found


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,19}", text) else 0


class Host:
    """Kernel settings by their names in `CHANGEABLE`, read and written below `root`."""

    def __init__(self, root: Path = Path("/"), units: Units | None = None) -> None:
        """Stand for the host itself, or for a directory that looks like one."""
        self.root = root
        self.units: Units = units or Systemd()

    def path(self, path: str) -> Path:
        """Return where an absolute path of the host lies."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str | None:
        """Return the text of one of the kernel's files; None where there is none."""
        try:
            return self.path(path).read_text(errors="replace")
        except OSError:
            return None

    def value(self, name: str) -> str | None:
        """Return what the kernel has for `name` now; None where it knows nothing of it."""
        text = self.text(PATHS[name])
        if text is None:
            return None
        chosen = re.search(r"\[(\w+)\]", text)  # always [madvise] never
        return chosen[1] if chosen else text.strip()

    def put(self, name: str, value: str) -> None:
        """Set `name` in the running kernel. Raises OSError."""
        with os.fdopen(os.open(self.path(PATHS[name]), os.O_WRONLY | os.O_TRUNC), "w") as stream:
            stream.write(f"{value}\n")

    def writable(self, name: str) -> bool:
        """Tell whether root here can set `name`: in most containers /proc/sys and /sys are read-only."""
        path = self.path(PATHS[name])
        try:
            if os.statvfs(path).f_flag & os.ST_RDONLY:
                return False
        except OSError:
            return False
        return os.geteuid() != 0 or os.access(path, os.W_OK)

    def after_boot(self, name: str) -> Booted | None:
        """Return what `name` will be after a boot; None where no file says so and the kernel may decide."""
        if name in KEYS:
            return persisted.sysctl(self.root, KEYS[name], DEFAULTS[name])
        return persisted.written_at_boot(self.root, PATHS[name]) or persisted.on_command_line(
            self.root, "transparent_hugepage"
        )

    def unit(self, service: str) -> Unit:
        """Return a service. Raises ConfigurationError where the host has none of the name."""
        found = self.units.show(service)
        if found is None:
            raise ConfigurationError(
                f"redis_host_servers names {service}, and this host has no such service: mend its name"
            )
        return found

    def open_files(self, pid: int) -> int | None:
        """Return how many files a process may open (its hard limit: the server raises the other itself)."""
        found = re.search(
            r"^Max open files\s+\S+\s+(\w+)", self.text(f"/proc/{pid}/limits") or "", re.MULTILINE
        )
        if not found:
            return None
        return ENDLESS if found[1] == "unlimited" else _number(found[1])

    def gets_huge_pages(self, pid: int) -> bool:
        """Tell whether a process gets transparent huge pages; Redis 6.2 and later opt out (`disable-thp`)."""
        return not re.search(r"^THP_enabled:\s*0", self.text(f"/proc/{pid}/status") or "", re.MULTILINE)

    def clocks(self) -> tuple[str, list[str]]:
        """Return the clock source in use ('' where unknown), and those that could be."""
        current = (self.text(f"{CLOCK}/current_clocksource") or "").strip()
        return current, (self.text(f"{CLOCK}/available_clocksource") or "").split()
