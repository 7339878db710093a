"""What a check is, and how all of them are found."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from courtkeeper.database import Connection, DatabaseSettings
from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.postgres.query import structs, with_parameters
from courtkeeper.postgres.server import GUARDED, Server
from courtkeeper.postgres.settings import IntegritySettings
from courtkeeper.settings import known, limit_from

GROUPS = (
    "structure",
    "indexes",
    "capacity",
    "activity",
    "replication",
    "settings",
    "security",
    "corruption",
    "data",
)

Row = TypeVar("Row", bound=msgspec.Struct)


class Limit(msgspec.Struct, frozen=True):
    """A threshold of a check: its value unless told otherwise, its unit, and who says so."""

    default: float
    unit: str
    source: str


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a check cannot do without."""

    version: int = 0
    extension: str = ""
    preload: bool = False  # the extension must be in shared_preload_libraries as well
    monitor: bool = False  # rights of pg_monitor
    superuser: bool = False
    view: str = ""  # one of server.GUARDED
    primary: bool = False
    statistics_days: float = 0

    def missing(self, server: Server) -> tuple[str, str] | None:
        """Return why the check cannot be done on `server` and what would help; None where it can."""
        if server.version < self.version:
            return f"Postgres {server.version} cannot tell; {self.version} can", "upgrade the server"
        if self.extension and self.extension not in server.extensions:
            return _extension(self, server)
        role = server.role
        if self.superuser and not server.superuser:
            return f"the role {role} is no superuser", "run this check as a superuser"
        if self.monitor and not (server.monitor or server.superuser):
            return f"the role {role} may not read the server's statistics", server.grant("pg_monitor")
        if self.view and self.view not in server.readable:
            return f"the role {role} may not read {self.view}", (
                f"{server.grant(f'SELECT ON {self.view}')} "
                f"{server.grant(f'EXECUTE ON FUNCTION {GUARDED[self.view]}')}"
            )
        if self.primary and server.in_recovery:
            return "this is a replica", "run this check on the primary"
        age = server.statistics_age.total_seconds() / 86400
        if age < self.statistics_days:
            return (
                f"the statistics count for {age:.1f} days only, {self.statistics_days:g} are needed",
                f"wait until the statistics are {self.statistics_days:g} days old",
            )
        return None


def _extension(needs: Needs, server: Server) -> tuple[str, str]:
    name = needs.extension
    if name in server.available:
        first = f"add {name} to shared_preload_libraries, restart, then " if needs.preload else ""
        return f"the extension {name} is not in this database", f"{first}CREATE EXTENSION {name};"
    return (
        f"the server does not have the extension {name}",
        f"install the server's package of {name} (Debian: postgresql-contrib or "
        f"postgresql-{server.version}-{name.removeprefix('pg_')}), then CREATE EXTENSION {name};",
    )


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """Where a check is done: a connection (read-only, bounded in time) and what is known of the server.

    `database` is for a check that needs connections of its own; `tell` says how far a long one is.
    """

    connection: Connection
    database: DatabaseSettings
    server: Server
    tell: Callable[[str], None] = lambda _text: None


class Check(Generic[Row]):
    """One question to the server. Subclasses are found by their place: `checks/<group>/<name>.py`.

    `title` says what is looked for, in the plural and small (`invalid indexes`): the finding of a clean
    server is made from it.
    """

    title: ClassVar[str]
    row: ClassVar[type[msgspec.Struct]]
    limits: ClassVar[Mapping[str, Limit]] = {}
    needs: ClassVar[Needs] = Needs()

    def __init__(self, group: str, name: str, limits: Mapping[str, float] | None = None) -> None:
        self.group, self.name = group, name
        self.limit = {key: limit.default for key, limit in self.limits.items()} | dict(limits or {})

    @property
    def id(self) -> str:
        """`postgres.indexes.invalid`: the id of its findings."""
        return f"postgres.{self.group}.{self.name}"

    def sql(self, server: Server) -> str:
        """Return the statement for `server`."""
        return statement(self.group, self.name, server.version)

    def parameters(self) -> Mapping[str, Any]:
        """Return what the statement's named parameters are: the limits."""
        return self.limit

    def configure(self, settings: IntegritySettings) -> None:
        """Take what the check needs of the caller's settings. Called once, before anything is asked."""

    def search(self, context: Context) -> Iterator[Finding]:
        """Ask the server and yield what is wrong; nothing where all is well.

        Overridden where one statement is not enough. What was yielded before an error is kept.
        """
        with context.connection.transaction():
            rows = fetch(context, self)
        yield from self.findings(rows)

    def judge(self, row: Row) -> Finding | None:
        """Return what is wrong with one row; None where it is all right after all."""
        raise NotImplementedError

    def findings(self, rows: Sequence[Row]) -> Iterator[Finding]:
        """Yield what is wrong; nothing where all is well. Overridden where rows are judged together."""
        for row in rows:
            if finding := self.judge(row):
                yield finding

    def finding(self, subject: str, status: Status, summary: str, **more: str | float | None) -> Finding:
        """Return a finding of this check."""
        return Finding(id=self.id, subject=subject, status=status, summary=summary, **more)  # type: ignore[arg-type]

    def graded(self, value: float) -> Status:
        """Return the status of `value` by the limits `warn` and `crit`, where more is worse."""
        if value >= self.limit.get("crit", float("inf")):
            return Status.CRIT
        return Status.WARN if value >= self.limit.get("warn", float("inf")) else Status.OK

    def clean(self, server: Server) -> Finding:
        """Return the finding of a server on which nothing is wrong."""
        return self.finding(server.database, Status.OK, f"There are no {self.title}.")

    def unable(self, server: Server) -> Finding | None:
        """Return a `skipped` finding that says what would help; None where the check can be done."""
        missing = self.needs.missing(server)
        if missing is None:
            return None
        why, fix = missing
        return self.finding(
            server.database, Status.SKIPPED, f"{self.title.capitalize()} were not looked for: {why}.", fix=fix
        )


def fetch(context: Context, check: Check[Any]) -> list[Any]:
    """Return the rows of the check's statement as the structs it wants."""
    cursor = context.connection.execute(check.sql(context.server).encode(), check.parameters())
    return structs(cursor, check.row)


def _folder(group: str) -> Traversable:
    return files("courtkeeper.postgres") / "checks" / group


@cache
def text_of(group: str, name: str) -> str:
    """Return the text of a `.sql` file of a group: `text_of("corruption", "amcheck.functions.sql")`."""
    return (_folder(group) / name).read_text(encoding="utf-8")


@cache
def statement(group: str, name: str, version: int) -> str:
    """Return the statement of a check for a server of `version`: the newest that is not too new for it.

    The file is plain SQL for psql (`psql -v warn=75 -f …`); its variables (`:warn`, and `:'expected'` for
    text) become psycopg's parameters.
    """
    found = -1
    chosen = f"{name}.sql"
    for entry in _folder(group).iterdir():
        match = re.fullmatch(rf"{re.escape(name)}\.pg(\d+)\.sql", entry.name)
        if match and found < int(match[1]) <= version:
            found, chosen = int(match[1]), entry.name
    return with_parameters(text_of(group, chosen))


@cache
def registry() -> dict[str, tuple[str, str, type[Check[Any]]]]:
    """Return every check: `indexes.invalid` → group, name and class, in the order of the groups."""
    found: dict[str, tuple[str, str, type[Check[Any]]]] = {}
    for group in GROUPS:
        for entry in sorted(_folder(group).iterdir(), key=lambda entry: entry.name):
            name = entry.name.removesuffix(".py")
            if not entry.name.endswith(".py") or name.startswith("_"):
                continue
            module = import_module(f"courtkeeper.postgres.checks.{group}.{name}")
            (kind,) = (
                kind
                for _, kind in inspect.getmembers(module, inspect.isclass)
                if issubclass(kind, Check) and kind.__module__ == module.__name__
            )
            found[f"{group}.{name}"] = (group, name, kind)
    return found


def choose(
    groups: Sequence[str] = (),
    names: Sequence[str] = (),
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Check[Any]]:
    """Return the checks of `groups` and `names` (all of them where both are empty), with their thresholds.

    `thresholds` maps the name of a check (`capacity.sequence`) to its limits. Raises ConfigurationError,
    with the nearest right name, for a group, check, limit or value that cannot be.
    """
    registered = registry()
    known("group", groups, GROUPS)
    known("check", names, registered)
    thresholds = thresholds or {}
    known("check", thresholds, registered)
    chosen = []
    for full, (group, name, kind) in registered.items():
        told = thresholds.get(full, {})
        if not isinstance(told, Mapping):
            raise ConfigurationError(
                f"the thresholds of {full} are {told!r}: give names and numbers, such as {{warn: 75}}"
            )
        known(f"threshold of {full}", told, kind.limits)
        limits = {key: limit_from(f"{full}.{key}", value) for key, value in told.items()}
        if not (groups or names) or group in groups or full in names:
            chosen.append(kind(group, name, limits))
    return chosen
