"""What the platform writes about itself: the public state, the secrets, its settings, its processes."""

from __future__ import annotations

import secrets
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.platform.files import Layout, write_whole
from courtkeeper.platform.processes import Identity

T = TypeVar("T")

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
# Beside this file, or the place made for a checkout that Postgres's own user cannot enter.
PostgresHome = Annotated[
    str, msgspec.Meta(pattern=r"\A(postgres|/var/lib/courtkeeper/[^/]*-[^/]+/postgres)\Z")
]


class DamagedError(ConfigurationError):
    """One of our files is not what it should be."""


class PostgresState(msgspec.Struct, kw_only=True):
    """Where Postgres listens and lives; `bin` and `data` are directories."""

    host: str
    port: int
    database: str
    user: str
    admin_user: str
    bin: str
    data: str
    pid: int


class CacheState(msgspec.Struct, kw_only=True):
    """Where Valkey listens."""

    host: str
    port: int
    database: int
    pid: int


class FeedState(msgspec.Struct, kw_only=True):
    """Which feed is served and where; `date` (US Eastern) is the night that the demo refreshes."""

    kind: str
    url: str
    pid: int
    date: date


class ApiState(msgspec.Struct, kw_only=True):
    """Where the reference API listens."""

    url: str
    pid: int


class State(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`state.json`: what anyone may know of a platform that is up (docs/design.md)."""

    version: int
    postgres: PostgresState | None = None
    cache: CacheState | None = None
    feed: FeedState | None = None
    api: ApiState | None = None


class Secrets(msgspec.Struct, frozen=True):
    """`secrets.json` (0600)."""

    database_password: str
    database_admin_password: str
    database_api_password: str
    cache_password: str

    def __repr__(self) -> str:
        """Say nothing: a traceback or a log may print this."""
        return "Secrets(…)"


class Settings(msgspec.Struct, kw_only=True):
    """`settings.json`: what was chosen at the first `up` and stays. `root` is the checkout it was made in."""

    root: str
    ports: dict[str, Port] = msgspec.field(default_factory=dict)
    postgres_home: PostgresHome | None = None
    postgres_bin: str | None = None  # null: the wheel
    first_night: date | None = None
    seed: int = 1


class Record(msgspec.Struct):
    """One process of ours and a digest of the command and configuration it was started with."""

    identity: Identity
    fingerprint: str


class Records(msgspec.Struct):
    """`processes.json`: what we started."""

    root: str
    parts: dict[str, Record] = msgspec.field(default_factory=dict)


class Health(StrEnum):
    """How a part is. `degraded`: its process runs but does not answer as it should."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class PartStatus(msgspec.Struct, kw_only=True):
    """One part: `address` is host:port or a URL, `summary` one sentence for a person."""

    name: str
    status: Health
    pid: int | None
    address: str
    summary: str


class PlatformStatus(msgspec.Struct, kw_only=True):
    """The platform of one checkout, part by part."""

    root: str
    parts: list[PartStatus]

    @property
    def status(self) -> Health:
        """`up` if every part is, `down` if none runs, else `degraded`."""
        seen = {part.status for part in self.parts}
        return seen.pop() if len(seen) == 1 else Health.DEGRADED


def read_state(root: Path) -> State:
    """Return the state of the platform of checkout `root`.

    Raises ConfigurationError if it is not up.
    """
    layout = Layout(root)
    state = read(layout.state, State)
    if state is None:
        raise ConfigurationError(f"The platform of {layout.root} is not up: run `courtkeeper platform up`.")
    return state


def read_secrets(root: Path) -> Secrets:
    """Return the passwords of the platform of checkout `root`.

    Raises ConfigurationError if there are none.
    """
    layout = Layout(root)
    found = read(layout.secrets, Secrets)
    if found is None:
        raise ConfigurationError(f"{layout.secrets} does not exist: run `courtkeeper platform up`.")
    return found


def read(path: Path, kind: type[T]) -> T | None:
    """Return the content of one of our JSON files; None if there is no such file.

    Raises ConfigurationError: DamagedError if it is not what it should be.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except PermissionError:
        raise ConfigurationError(f"{path} may be read only by its owner: run this as that user.") from None
    except OSError as error:  # a directory in its place
        reason = error.strerror
    except (ValueError, RecursionError) as error:  # also what msgspec raises
        reason = str(error)
    raise DamagedError(
        f"{path} is damaged ({reason}): restore it, or remove it and run `courtkeeper platform up`."
    )


def write(path: Path, value: object, mode: int = 0o644) -> bool:
    """Write one of our JSON files if its content differs; return whether it did."""
    content = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    if path.exists() and path.read_bytes() == content:
        return False
    write_whole(path, content, mode)
    return True


def new_secrets() -> Secrets:
    """Return fresh passwords of 192 bits each."""
    return Secrets(*(secrets.token_urlsafe(24) for _ in range(4)))
