"""What a server says of itself at one moment, and a sample of its keys: what every rule judges."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from redis import exceptions as errors

from courtkeeper.redis import keyspace, parse
from courtkeeper.redis.keyspace import Keyspace, SampleSettings
from courtkeeper.redis.parse import Client as ClientFacts
from courtkeeper.redis.parse import CommandStats, Database, Event, Histogram, SlowCommand, User
from courtkeeper.redis.server import Client, Command, Server, facts, parse_info, replies

# With more clients the list of them would hold the server up for longer than a slow command.
MOST_CLIENTS = 2_000
_SLOW_COMMANDS = 128

# Every part, and the command that asks for it. What a server refuses or does not know is left out and said.
PARTS: Mapping[str, Command] = {
    "info": ("INFO", "everything"),
    "user": ("ACL", "WHOAMI"),
    "config": ("CONFIG", "GET", "*"),
    "events": ("LATENCY", "LATEST"),
    "histograms": ("LATENCY", "HISTOGRAM"),
    "slow": ("SLOWLOG", "GET", _SLOW_COMMANDS),
    "memory": ("MEMORY", "STATS"),
    "doctor": ("MEMORY", "DOCTOR"),
    "clients": ("CLIENT", "LIST"),
    "users": ("ACL", "LIST"),
}


class Refused(msgspec.Struct, frozen=True):
    """A part that could not be had: the server's `why`, and what would help (empty where nothing does)."""

    why: str
    fix: str = ""
    rights: bool = False


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of one server. Sizes are bytes, times of commands microseconds, counters since its start.

    `info` holds the fields of INFO and `config` those of CONFIG GET as text, as the server writes them; what
    is secret is `***` there where it is set and empty where not. `keys` is None where it was not asked for.
    `refused` names the parts (`config`, `keys` …) that could not be had.
    """

    at: datetime
    server: Server
    info: dict[str, str]
    user: str = "default"
    config: dict[str, str] = msgspec.field(default_factory=dict)
    events: tuple[Event, ...] = ()
    histograms: dict[str, Histogram] = msgspec.field(default_factory=dict)
    slow: tuple[SlowCommand, ...] = ()
    memory: dict[str, float] = msgspec.field(default_factory=dict)
    doctor: str = ""
    clients: tuple[ClientFacts, ...] = ()
    users: tuple[User, ...] = ()
    commands: dict[str, CommandStats] = msgspec.field(default_factory=dict)
    databases: dict[int, Database] = msgspec.field(default_factory=dict)
    keys: Keyspace | None = None
    refused: dict[str, Refused] = msgspec.field(default_factory=dict)
    duration_s: float = 0.0

    def number(self, name: str, default: float | None = None) -> float | None:
        """Return a field of INFO as a number; `default` where the server does not have it."""
        return parse.number(self.info.get(name), default)

    def setting(self, name: str, default: float | None = None) -> float | None:
        """Return a value of CONFIG GET as a number; `default` where it is none."""
        return parse.number(self.config.get(name), default)

    def latency(self) -> Histogram:
        """Return the latencies of all commands together."""
        return parse.together(self.histograms.values())


def take(
    client: Client,
    *,
    sample: SampleSettings | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    tell: Callable[[str], None] = lambda _text: None,
) -> Snapshot:
    """Ask the server everything in PARTS, and the keys where `sample` says how many.

    Each part is a round trip of its own, so that others are served in between. Raises redis' errors where the
    server is lost or does not let us ask INFO (see `server.explained`).
    """
    began = time.monotonic()
    at = now()
    answers: dict[str, Any] = {}
    refused: dict[str, Refused] = {}
    for part, command in PARTS.items():
        tell(f"asking {' '.join(map(str, command))}")
        if part == "clients" and _crowded(answers["info"]):
            refused[part] = Refused(f"there are more than {MOST_CLIENTS} of them")
            continue
        (reply,) = replies(client, [command])
        if part == "info" and isinstance(reply, errors.RedisError):
            raise reply
        if isinstance(reply, errors.RedisError):
            refused[part] = _refused(reply, command, str(answers.get("user", "default")))
        else:
            answers[part] = _READ[part](reply)
    info: dict[str, str] = answers["info"]
    databases = parse.databases(info)
    keys = None
    if sample is not None:
        try:
            keys = keyspace.take(client, sample, info, answers.get("config", {}), databases, tell=tell)
        except errors.ResponseError as error:
            refused["keys"] = _refused(error, ("SCAN",), str(answers.get("user", "default")))
    return Snapshot(
        at=at,
        server=facts(info),
        **answers,
        commands=parse.command_stats(info),
        databases=databases,
        keys=keys,
        refused=refused,
        duration_s=time.monotonic() - began,
    )


_READ: Mapping[str, Callable[[Any], Any]] = {
    "info": parse_info,
    "user": parse.text,
    "config": parse.config,
    "events": parse.events,
    "histograms": parse.histograms,
    "slow": parse.slow_commands,
    "memory": parse.memory,
    "doctor": parse.text,
    "clients": parse.clients,
    "users": parse.users,
}


def _crowded(info: Mapping[str, str]) -> bool:
    return (parse.number(info.get("connected_clients")) or 0) > MOST_CLIENTS


def _refused(error: errors.RedisError, command: Command, user: str) -> Refused:
    why = " ".join(str(error).split())[:160]
    name = "|".join(str(word).lower() for word in command[:2] if str(word).isalpha())
    if isinstance(error, errors.NoPermissionError):
        return Refused(why, f"ACL SETUSER {user} +{name}", rights=True)
    return Refused(why)
