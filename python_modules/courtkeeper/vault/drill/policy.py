"""What a drill is told: the key `drill` of a vault's policy."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import within


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query that the application asks, as it asks it, with `%(name)s` for parameters.

    `parameters`: a query of one column for each, whose rows are taken in turn. `limit_ms`: what the 95th of
    100 answers may take (0: no limit). Empty `database`: the first of the source.
    `resource`: a file of a Python package instead of `sql`, as `courtkeeper.platform.api:sql/games.sql`.
    """

    name: str
    sql: str = ""
    resource: str = ""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    source: str = ""
    database: str = ""
    limit_ms: float = 0.0


def text_of(query: Query) -> str:
    """Return what a query asks. Raises ConfigurationError where its resource is not there."""
    if not query.resource:
        return query.sql
    package, _, path = query.resource.partition(":")
    try:
        return files(package).joinpath(path).read_text(encoding="utf-8")
    except (ImportError, OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f"queries: the resource {query.resource!r} cannot be read: {error}"
        ) from error


class DrillPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How backups are drilled, and what was agreed.

    `rto_minutes`, `rpo_hours`: the agreed limits. `old`: so many older backups of each source take their
    turn beside the newest, those never proven first. `heartbeat`: by database, a query for the newest moment
    that its data hold; without one the table `courtkeeper.heartbeat`, which a source with `heartbeat: true`
    writes.
    `rounds`: how often each query is asked. `trend`: so many drills make the trend, `horizon_days` is how far
    its forecast looks. `scratch_directory`: on the disk that a restore would use; empty: the system's own for
    temporary files. `bin_directory`: initdb, postgres, pg_amcheck; empty: the source's, then the system's.
    `server_program`: redis-server or valkey-server; empty: PATH.
    """

    rto_minutes: float = 15.0
    rpo_hours: float = 24.0
    old: int = 1
    amcheck: bool = True
    queries: tuple[Query, ...] = ()
    rounds: int = 40
    heartbeat: dict[str, str] = msgspec.field(default_factory=dict)
    trend: int = 10
    horizon_days: float = 90.0
    scratch_directory: str = ""
    bin_directory: str = ""
    server_program: str = ""


def checked(policy: DrillPolicy, prefix: str) -> None:
    """Raise ConfigurationError, naming the key, for what cannot be."""
    for name, least, most in (
        ("rto_minutes", 0.001, 1e6),
        ("rpo_hours", 0.0001, 1e6),
        ("old", 0, 100),
        ("rounds", 1, 10_000),
        ("trend", 3, 1000),
        ("horizon_days", 1, 3660),
    ):
        within(f"{prefix}{name}", getattr(policy, name), least, most)
    for name in ("scratch_directory", "bin_directory", "server_program"):
        value = getattr(policy, name)
        if value and not value.startswith("/"):
            raise ConfigurationError(f"{prefix}{name} {value!r} is no absolute path")
    for number, query in enumerate(policy.queries):
        if bool(query.sql.strip()) == bool(query.resource):
            raise ConfigurationError(f"{prefix}queries[{number}] needs either sql or resource")
