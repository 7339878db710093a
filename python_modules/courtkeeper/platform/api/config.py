"""The API's configuration file (0600: it holds two passwords)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from courtkeeper.findings import ConfigurationError


class Server(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whom to ask, and as whom."""

    host: str
    port: int
    password: str

    def __repr__(self) -> str:
        """Leave the password out: a traceback or a log may print this."""
        return f"{type(self).__name__}({self.host}:{self.port})"


class Database(Server, kw_only=True):
    """The Postgres that holds the league."""

    database: str
    user: str


class Cache(Server, kw_only=True):
    """The Redis that payloads are cached in; `database` is its number."""

    database: int = 0


class ApiConfig(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Everything the API is told.

    `cache_ttl_s`: after so many seconds a cached payload is read anew even if nobody invalidated it.
    `stale_after_h`: a last refresh older than that is a warning (a nightly job plus half a day).
    """

    host: str
    port: int
    database: Database
    cache: Cache
    cache_ttl_s: int = 3600
    stale_after_h: float = 36.0


def load(path: Path) -> ApiConfig:
    """Read the configuration. Raises ConfigurationError with one sentence."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ApiConfig)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:  # also what msgspec raises
        raise ConfigurationError(f"{path} is no configuration of the API: {error}.") from None
