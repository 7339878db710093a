"""Connecting to a Redis or Valkey server, and saying in one sentence why that failed."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import redis
from redis import exceptions as errors
from redis.backoff import NoBackoff
from redis.retry import Retry

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.settings import converted, within

Client = redis.Redis
Command = tuple[str | bytes | int, ...]
# What the client's parser raises where something else than a Redis answers.
_UNREADABLE = (ValueError, TypeError, IndexError, AttributeError, RecursionError, OverflowError)


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a server is. `socket` is the path of a Unix socket, before `host` and `port`.

    `ca_file` (empty: the system's), `cert_file` and `key_file` are for `tls`. No message holds the password.
    """

    host: str = "127.0.0.1"
    port: int = 6379
    socket: str = ""
    database: int = 0
    user: str = ""
    password: str = ""
    tls: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    timeout_s: float = 10.0

    def at(self, host: str, port: int) -> Self:
        """Return the settings of another node that is entered in the same way."""
        return msgspec.structs.replace(self, host=host, port=port, socket="", database=0)

    def __repr__(self) -> str:
        return self.where

    @property
    def where(self) -> str:
        """`127.0.0.1:6379`, with the database if it is not 0; for messages."""
        place = (
            self.socket or f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        )
        return f"{self.socket or place}{f'/{self.database}' if self.database else ''}"


def server_from(given: Mapping[str, Any]) -> ServerSettings:
    """Return where a server is. Raises ConfigurationError, naming the key, for what cannot be."""
    settings = converted(given, ServerSettings, "server.")
    within("server.port", settings.port, 1, 65535)
    within("server.database", settings.database, 0, 2**31 - 1)
    within("server.timeout_s", settings.timeout_s, 0.1, 600)
    if bool(settings.cert_file) != bool(settings.key_file):
        raise ConfigurationError("server.cert_file and server.key_file belong together: give both or none")
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(settings, name)
        if path and not os.access(path, os.R_OK):
            raise ConfigurationError(f"server.{name} {path} cannot be read: mend its path or permissions")
    return settings


def server_from_url(url: str) -> ServerSettings:
    """Read a `redis://`, `rediss://` or `unix://` URL; REDISCLI_AUTH is the password it leaves out.

    `?ca_file=…&timeout_s=…` give the rest. Raises ConfigurationError without repeating the URL, which may
    hold a password.
    """
    try:
        return server_from(_parts(url))
    except ValueError:
        raise ConfigurationError(
            "the URL cannot be read: write it as redis://user@host:6379/0, rediss://… or "
            "unix:///path/to/socket?database=0"
        ) from None


def _parts(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    more = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    path = unquote(parts.path)
    place: dict[str, Any] = {}
    if parts.scheme == "unix" and path and not parts.netloc.rpartition("@")[2]:
        place = {"socket": path}
    elif parts.scheme in ("redis", "rediss"):
        place = {"host": parts.hostname or "127.0.0.1", "port": 6379 if parts.port is None else parts.port}
        place |= {"database": int(path.strip("/") or 0), "tls": parts.scheme == "rediss"}
    if not place or parts.fragment or more.keys() & {"password", "user", *place}:
        raise ValueError(parts.scheme)
    password = unquote(parts.password or "") or os.environ.get("REDISCLI_AUTH", "")
    return {**place, **more, "user": unquote(parts.username or ""), "password": password}


def connect(settings: ServerSettings, *, purpose: str) -> Client:
    """Open a connection whose commands are bounded in time, and see that the server answers.

    `purpose` is shown in CLIENT LIST. Replies are bytes: keys need not be text. Nothing is tried twice, for
    not every command may be. Raises ConfigurationError where the settings are wrong, CourtkeeperError where
    the server cannot be reached.
    """
    with explained(settings):
        try:
            client = _client(settings)
        except _UNREADABLE as error:
            raise errors.InvalidResponse(f"a reply cannot be read: {type(error).__name__}") from error
        # In a way of its own: the client fails where a user may not name its connection.
        ping, _ = replies(client, [("PING",), ("CLIENT", "SETNAME", f"courtkeeper-{purpose}")])
        # PING too is refused by a server that could not save its data: that one answers all the same.
        alive = isinstance(ping, errors.NoPermissionError) or str(ping).startswith("MISCONF")
        if isinstance(ping, errors.RedisError) and not alive:
            raise ping
        if not isinstance(ping, errors.RedisError) and ping != b"PONG":
            raise errors.InvalidResponse(f"PING is answered by {type(ping).__name__}")
        return client


@contextmanager
def explained(settings: ServerSettings, doing: str = "") -> Iterator[None]:
    """Turn what the client raises into one sentence that names the server.

    `doing` (`taking a snapshot`) is for a connection that stood: then the sentence says on what it was lost.
    """
    try:
        yield
    except (errors.ConnectionError, errors.TimeoutError) as error:
        if doing and not isinstance(error, errors.AuthenticationError | errors.BusyLoadingError):
            raise CourtkeeperError(
                f"the connection to {settings.where} was lost while {doing}: see whether the server still "
                f"runs, then try again ({_short(error)})"
            ) from error
        raise _problem(settings, error) from error
    except errors.RedisError as error:
        raise _problem(settings, error) from error
    except OSError as error:  # the files of TLS
        raise ConfigurationError(f"TLS to {settings.where} cannot be set up: {_short(error)}") from error


def _client(settings: ServerSettings) -> Client:
    place: dict[str, Any] = {"host": settings.host, "port": settings.port}
    if settings.socket:
        place = {"unix_socket_path": settings.socket}
    elif settings.tls:
        place |= {
            "ssl": True,
            "ssl_ca_certs": settings.ca_file or None,
            "ssl_certfile": settings.cert_file or None,
            "ssl_keyfile": settings.key_file or None,
        }
    return redis.Redis(
        **place,
        db=settings.database,
        username=settings.user or None,
        password=settings.password or None,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        single_connection_client=True,
    )


def _problem(settings: ServerSettings, error: errors.RedisError) -> CourtkeeperError:
    text = _short(error)
    if isinstance(error, errors.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
        asked = "refuses the password" if settings.password else "wants a password"
        return ConfigurationError(
            f"the server {settings.where} {asked} of {settings.user or 'the default user'}: set the right "
            "one in the inventory's secrets or in REDISCLI_AUTH"
        )
    for kind, mark, raised, sentence in _REFUSALS:
        if isinstance(error, kind) and mark in text:
            return raised(
                sentence.format(where=settings.where, user=settings.user or "the default user", text=text)
            )
    return _unreachable(settings, error)


_REFUSALS: tuple[tuple[type[errors.RedisError], str, type[CourtkeeperError], str], ...] = (
    (
        errors.NoPermissionError,
        "",
        ConfigurationError,
        "{user} may not do that on {where} ({text}): grant it by ACL SETUSER",
    ),
    (
        errors.BusyLoadingError,
        "",
        CourtkeeperError,
        "the server {where} is still loading its data: wait until it is done",
    ),
    (
        errors.ReadOnlyError,
        "",
        ConfigurationError,
        "the server {where} is a replica and takes no writes: name its master",
    ),
    (
        errors.RedisError,
        "max number of clients",
        CourtkeeperError,
        "the server {where} has no connection left: raise its maxclients",
    ),
    (
        errors.RedisError,
        "protected mode",
        ConfigurationError,
        "the server {where} is in protected mode and lets in only its own host: give it a password",
    ),
    (
        errors.ResponseError,
        "DB index",
        ConfigurationError,
        "the server {where} has no such database: mend its number ({text})",
    ),
    (
        errors.InvalidResponse,
        "",
        ConfigurationError,
        "what answers at {where} is no Redis or Valkey: mend its address ({text})",
    ),
    (errors.ResponseError, "", CourtkeeperError, "the server {where} refuses a command: {text}"),
)


def _unreachable(settings: ServerSettings, error: errors.RedisError) -> CourtkeeperError:
    text, causes = _short(error), (error.__cause__, error.__context__)
    tls = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if tls is not None:
        return ConfigurationError(
            f"the server {settings.where} does not speak TLS as we do ({_short(tls)}): give its CA, "
            "or leave TLS out (redis:// instead of rediss://)"
        )
    if "closed by server" in text or any(isinstance(cause, ConnectionResetError) for cause in causes):
        hint = "be no Redis" if settings.tls else "want TLS (rediss://), or be no Redis"
        return ConfigurationError(f"the server {settings.where} closes the connection at once: it may {hint}")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return ConfigurationError(f"the name in {settings.where} cannot be resolved: mend it")
    hint = "start it, mend its address, or leave TLS out" if settings.tls else "start it or mend its address"
    return CourtkeeperError(f"the server {settings.where} cannot be reached: {hint} ({text})")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of one server. `kind` is `redis` or `valkey`, `mode` `standalone`, `cluster` or `sentinel`.

    `version` is the product's own, `api` the version of Redis whose commands it has (the same for Redis).
    `config_file` is empty where it was started without one, so that CONFIG REWRITE cannot be.
    """

    kind: str
    version: tuple[int, int, int]
    api: tuple[int, int, int]
    mode: str
    role: str
    config_file: str
    run_id: str
    uptime_s: int
    loading: bool

    @property
    def title(self) -> str:
        """`Valkey 9.1.0`, for messages."""
        return f"{self.kind.capitalize()} {'.'.join(map(str, self.version))}"


def facts(info: Mapping[str, str]) -> Server:
    """Return what INFO says of a server. What it leaves out is empty or 0; nothing is raised."""
    api = _version(info.get("redis_version", ""))
    kind = "valkey" if "valkey_version" in info or info.get("server_name") == "valkey" else "redis"
    role = info.get("role", "")
    return Server(
        kind=kind,
        version=_version(info.get("valkey_version", "")) if kind == "valkey" else api,
        api=api,
        mode=info.get("server_mode", info.get("redis_mode", "")),
        role="replica" if role == "slave" else role,
        config_file=info.get("config_file", ""),
        run_id=info.get("run_id", ""),
        uptime_s=_whole(info.get("uptime_in_seconds", "")),
        loading=info.get("loading", "0") != "0",
    )


def look(client: Client) -> Server:
    """Ask the server what it is. Raises redis' errors; see `explained`."""
    (reply,) = replies(client, [("INFO",)])
    if isinstance(reply, errors.RedisError):
        raise reply
    return facts(parse_info(reply))


def parse_info(reply: object) -> dict[str, str]:
    """Return the fields of INFO, in all its sections, as they are; lines that are none are left out."""
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else ""
    pairs = (line.partition(":") for line in text.split("\n") if not line.startswith("#"))
    return {name: value.strip() for name, colon, value in pairs if colon}


def replies(client: Client, commands: Sequence[Command]) -> list[Any]:
    """Send `commands` in one go and return their replies as the server gives them: bytes, numbers, lists.

    A refusal stands in its command's place as a ResponseError. Neither parsed nor tried again, which costs
    a third of a pipeline of the client. Keep `commands` short: the server does them without a pause.
    Raises redis' ConnectionError or TimeoutError where the server is lost.
    """
    connection: Any = client.connection
    if connection is None:
        raise errors.ConnectionError("the connection is closed")
    try:
        connection.send_packed_command(connection.pack_commands(commands))
        return [_reply(connection) for _ in commands]
    except BaseException:
        connection.disconnect()  # what is still to come would be taken for the answer to something else
        raise


def _reply(connection: Any) -> Any:  # noqa: ANN401 - as the server answers
    try:
        return connection.read_response()
    except errors.ResponseError as error:
        return error
    except _UNREADABLE as error:
        raise errors.InvalidResponse(f"a reply cannot be read: {type(error).__name__}") from error


def _version(text: str) -> tuple[int, int, int]:
    numbers = [_whole(part) for part in text.split(".")[:3]] + [0, 0, 0]
    return numbers[0], numbers[1], numbers[2]


def _whole(text: str) -> int:
    digits = re.match(r"[0-9]{1,18}", text)
    return int(digits[0]) if digits else 0
