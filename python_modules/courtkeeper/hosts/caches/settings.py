"""What is asked for: the servers of the host, what it is to be like, what may be changed or taken back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, within

# What can be changed and taken back, in the order in which it is.
CHANGEABLE = ("transparent_huge_pages", "overcommit_memory", "somaxconn", "open_files")
UNIT = re.compile(r"[A-Za-z0-9@_.:][A-Za-z0-9@_.:\\-]*")
# fs.nr_open as systemd raises it: the kernel gives no process more.
MOST_FILES = 2**30


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One server of the host: the unit that runs it, and its configuration file."""

    service: str = "redis-server"
    config_file: str = "/etc/redis/redis.conf"


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host is to be like. Only what `change` names is changed, only what `undo` names taken back.

    `open_files` is the least limit of a unit; 0 is what the server's `maxclients` needs.
    """

    servers: list[Server]
    change: list[str] = []
    undo: list[str] = []
    transparent_huge_pages: str = "madvise"
    overcommit_memory: int = 1
    open_files: int = 0


def wanted_from(given: Mapping[str, Any]) -> Wanted:
    """Return what is wanted. Raises ConfigurationError, naming the variable, for what cannot be."""
    wanted = converted(given, Wanted, "redis_host_")
    if not wanted.servers:
        raise ConfigurationError("redis_host_servers is empty: name the unit of at least one server")
    for number, server in enumerate(wanted.servers):
        _refuse_odd_server(f"redis_host_servers[{number}]", server)
    services = [server.service for server in wanted.servers]
    if twice := next((name for name in services if services.count(name) > 1), ""):
        raise ConfigurationError(f"redis_host_servers names {twice} twice: name it once")
    for variable, names in (("change", wanted.change), ("undo", wanted.undo)):
        for odd in (name for name in names if name not in CHANGEABLE):
            raise ConfigurationError(
                f"redis_host_{variable} holds {odd}: it can hold {', '.join(CHANGEABLE)}"
            )
    if both := next((name for name in wanted.change if name in wanted.undo), ""):
        raise ConfigurationError(f"redis_host_change and redis_host_undo both hold {both}: decide for one")
    if wanted.transparent_huge_pages not in {"madvise", "never"}:
        raise ConfigurationError("redis_host_transparent_huge_pages has to be madvise or never")
    within("redis_host_overcommit_memory", wanted.overcommit_memory, 0, 2)
    within("redis_host_open_files", wanted.open_files, 0, MOST_FILES)
    return wanted


def _refuse_odd_server(where: str, server: Server) -> None:
    if not UNIT.fullmatch(server.service):
        raise ConfigurationError(f"{where}.service is no name of a unit: write it as redis-server")
    if not server.config_file.startswith("/") or "\0" in server.config_file:
        raise ConfigurationError(f"{where}.config_file has to be an absolute path")
