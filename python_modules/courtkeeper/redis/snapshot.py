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
    "cluster": ("CLUSTER", "INFO"),
}
# What a user needs beside PING for each part; the commands on keys are asked for together.
_RIGHTS = {"info": "+info", "keys": f"+{' +'.join(keyspace.COMMANDS)} ~*"}


class Refused(msgspec.Struct, frozen=True):
    """A part that could not be had: the server's `why`, and what would help (empty where nothing does)."""

    why: str
    fix: str = ""
    rights: bool = False


class LostError(errors.ConnectionError):
    """The server was lost on the way; `snapshot` is what it had said before."""

    def __init__(self, error: Exception, snapshot: Snapshot) -> None:
        super().__init__(str(error))
        self.snapshot = snapshot


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
    cluster: dict[str, str] = msgspec.field(default_factory=dict)
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

    Each part is a round trip of its own, so that others are served in between. Raises LostError where the
    server is lost, which is redis' ConnectionError (see `server.explained`).
    """
    began = time.monotonic()
    answers: dict[str, Any] = {"info": {}}
    refused: dict[str, Refused] = {}
    keys: list[Keyspace] = []

    def made() -> Snapshot:
        info = answers["info"]
        return Snapshot(
            at=at,
            server=facts(info),
            commands=parse.command_stats(info),
            databases=parse.databases(info),
            keys=keys[0] if keys else None,
            refused=refused,
            duration_s=time.monotonic() - began,
            **answers,
        )

    def lost(error: Exception) -> LostError:
        for part in [*PARTS, "keys"] if sample else PARTS:
            if part not in answers or (part == "info" and not answers["info"]):
                refused.setdefault(part, Refused("the server was lost"))
        return LostError(error, made())

    at = now()
    try:
        for part, command in PARTS.items():
            _ask(client, part, command, answers, refused)
        if sample is not None:
            keys.extend(_sampled(client, sample, answers, refused, tell))
    except (errors.ConnectionError, errors.TimeoutError) as error:
        raise lost(error) from error
    return made()


def _ask(
    client: Client, part: str, command: Command, answers: dict[str, Any], refused: dict[str, Refused]
) -> None:
    info: Mapping[str, str] = answers["info"]
    if part == "cluster" and info.get("cluster_enabled", "0") == "0":
        return
    if part == "clients" and (parse.number(info.get("connected_clients")) or 0) > MOST_CLIENTS:
        refused[part] = Refused(f"there are more than {MOST_CLIENTS:,} clients")
        return
    (reply,) = replies(client, [command])
    if isinstance(reply, errors.RedisError):
        refused[part] = _refused(reply, part, command, answers)
    else:
        answers[part] = _READ[part](reply)


def _sampled(
    client: Client,
    sample: SampleSettings,
    answers: Mapping[str, Any],
    refused: dict[str, Refused],
    tell: Callable[[str], None],
) -> list[Keyspace]:
    info: Mapping[str, str] = answers["info"]
    databases = parse.databases(info)
    if "info" in refused:
        refused["keys"] = refused["info"]
        return []
    try:
        return [keyspace.take(client, sample, info, answers.get("config", {}), databases, tell=tell)]
    except errors.ResponseError as error:
        refused["keys"] = _refused(error, "keys", (), answers)
        return []


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
    "cluster": parse_info,
}


def _refused(error: errors.RedisError, part: str, command: Command, answers: Mapping[str, Any]) -> Refused:
    why = " ".join(str(error).split())[:160]
    if not isinstance(error, errors.NoPermissionError):
        return Refused(why)
    rights = _RIGHTS.get(part) or "+" + "|".join(str(word).lower() for word in command[:2])
    user = answers.get("user") or "default"
    return Refused(f"the user {user} may not do that", f"ACL SETUSER {user} {rights}", rights=True)
