"""What a rule over a snapshot is, and how all of them are found."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, ClassVar

import msgspec

from courtkeeper.findings import ConfigurationError, Finding, Status
from courtkeeper.redis.snapshot import Refused, Snapshot
from courtkeeper.settings import known, limit_from

GROUPS = ("server", "security", "memory", "persistence", "replication", "clients", "latency", "keys")
MIB = 2**20
# What makes a setting stay; it is refused where a server was started without a file.
KEEP = "CONFIG REWRITE;"


class Limit(msgspec.Struct, frozen=True):
    """A threshold of a rule: its value unless told otherwise, its unit, and who says so."""

    default: float
    unit: str
    source: str


class UntoldError(Exception):
    """The server does not say what a rule wants to know; the message names the field."""


class Rule:
    """One question to a snapshot. Subclasses are found by their place in `rules/<group>.py` and their `name`.

    `title` says what is looked for, in the plural and small (`rejected connections`): the finding of a server
    that is well is made from it. `needs` are the parts of the snapshot without which there is no answer;
    `modes` the kinds of servers that the question makes sense for.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ("info",)
    modes: ClassVar[frozenset[str]] = frozenset({"standalone", "cluster", ""})
    limits: ClassVar[Mapping[str, Limit]] = {}
    fix: ClassVar[str] = ""

    def __init__(self, group: str, limits: Mapping[str, float] | None = None) -> None:
        self.group = group
        self.limit = {key: limit.default for key, limit in self.limits.items()} | dict(limits or {})

    @property
    def id(self) -> str:
        """`redis.memory.limit`: the id of its findings."""
        return f"redis.{self.group}.{self.name}"

    def search(self, snapshot: Snapshot) -> Iterator[Finding]:
        """Yield what is wrong; nothing where all is well. UntoldError: the server does not say enough."""
        raise NotImplementedError

    def findings(self, snapshot: Snapshot, where: str) -> Iterator[Finding]:
        """Yield what is wrong, or one finding that says that all is well or why it cannot be told.

        `where` names the server. Nothing is said where the question makes no sense for it.
        """
        if snapshot.server.mode not in self.modes:
            return
        refused = next((snapshot.refused[part] for part in self.needs if part in snapshot.refused), None)
        if refused is None and "keys" in self.needs and snapshot.keys is None:
            refused = Refused("no keys were looked at")
        if refused is not None:
            yield self._skipped(where, refused)
            return
        found = False
        try:
            for finding in self.search(snapshot):
                found = True
                yield finding
        except UntoldError as error:
            yield self._skipped(where, Refused(f"{snapshot.server.title} does not say {error}"))
            return
        if not found:
            yield self.finding(where, Status.OK, f"There are no {self.title}.")

    def finding(self, subject: str, status: Status, summary: str, **more: str | float | None) -> Finding:
        """Return a finding of this rule, with its `fix` unless told otherwise."""
        if status is not Status.OK:
            more.setdefault("fix", self.fix)
        return Finding(id=self.id, subject=subject, status=status, summary=summary, **more)  # type: ignore[arg-type]

    def graded(self, value: float) -> Status:
        """Return the status of `value` by the limits `warn` and `crit`, where more is worse."""
        if value >= self.limit.get("crit", float("inf")):
            return Status.CRIT
        return Status.WARN if value >= self.limit.get("warn", float("inf")) else Status.OK

    def _skipped(self, where: str, refused: Refused) -> Finding:
        summary = f"{self.title[0].upper()}{self.title[1:]} were not looked for: {refused.why}."
        return self.finding(where, Status.SKIPPED, summary, fix=refused.fix)


def told(snapshot: Snapshot, name: str) -> float:
    """Return a field of INFO. Raises UntoldError where the server does not have it."""
    value = snapshot.number(name)
    if value is None:
        raise UntoldError(name)
    return value


def setting(snapshot: Snapshot, name: str) -> str:
    """Return a value of CONFIG GET. Raises UntoldError where the server does not have it."""
    value = snapshot.config.get(name)
    if value is None:
        raise UntoldError(name)
    return value


def megabytes(size: float) -> str:
    """Return a size in bytes as a person reads it: `1.5 MB`, `12 GB` (powers of 1024, as Redis writes)."""
    for unit, factor in (("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if abs(size) >= factor:
            return (
                f"{size / factor:.3g} {unit}" if abs(size) < 1000 * factor else f"{size / factor:,.0f} {unit}"
            )
    return f"{size:.0f} B"


@cache
def registry() -> dict[str, tuple[str, type[Rule]]]:
    """Return every rule: `memory.limit` → group and class, as the groups and their modules have them."""
    found: dict[str, tuple[str, type[Rule]]] = {}
    for group in GROUPS:
        module = import_module(f"courtkeeper.redis.rules.{group}")
        for kind in vars(module).values():
            if inspect.isclass(kind) and issubclass(kind, Rule) and "name" in vars(kind):
                found[f"{group}.{kind.name}"] = (group, kind)
    return found


def choose(
    groups: Sequence[str] = (),
    names: Sequence[str] = (),
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Rule]:
    """Return the rules of `groups` and `names` (all of them where both are empty), with their thresholds.

    `thresholds` maps the name of a rule (`memory.use`) to its limits. Raises ConfigurationError, with the
    nearest right name, for a group, rule, limit or value that cannot be.
    """
    registered = registry()
    thresholds = thresholds or {}
    known("group", groups, GROUPS)
    known("check", [*names, *thresholds], registered)
    chosen = []
    for full, (group, kind) in registered.items():
        given = thresholds.get(full, {})
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"the thresholds of {full} are {given!r}: give names and numbers, such as {{warn: 75}}"
            )
        known(f"threshold of {full}", given, kind.limits)
        limits = {key: limit_from(f"{full}.{key}", value) for key, value in given.items()}
        if not (groups or names) or group in groups or full in names:
            chosen.append(kind(group, limits))
    return chosen
