"""A close look at a job whose shape is right: does it mean something, and is there what it names?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

import yaml

from courtkeeper.calendar import blackouts, nodes
from courtkeeper.calendar.blackouts import Blackouts
from courtkeeper.calendar.model import Calendar, Job
from courtkeeper.calendar.recurrence import Schedule, zone_of
from courtkeeper.calendar.rule import parse_rule
from courtkeeper.calendar.window import Window, parse_window
from courtkeeper.findings import ConfigurationError
from courtkeeper.runner.options import check_extra_vars
from courtkeeper.runner.secrets import looks_secret
from courtkeeper.runner.variables import check_role_variables
from courtkeeper.settings import known

Value = TypeVar("Value")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Usable:
    """What a job's words mean, where `wrong` (key and sentence) is empty."""

    schedule: Schedule = field(init=False)
    window: Window | None = None
    blackouts: Blackouts = field(default_factory=Blackouts)
    wrong: list[tuple[str, str]] = field(default_factory=list)

    def attempt(self, key: str, make: Callable[[], Value]) -> Value | None:
        """Return what `make` gives, or None with its ConfigurationError noted under `key`."""
        try:
            return make()
        except ConfigurationError as error:
            self.wrong.append((key, str(error)))
            return None


@dataclass(slots=True, kw_only=True)
class Look:
    """What the jobs of one calendar are looked at with."""

    root: Path
    inventory: Path
    calendar: Calendar
    _files: dict[str, Blackouts | ConfigurationError] = field(default_factory=dict)
    _names: dict[str, set[str]] | None = None
    _known: set[str] = field(default_factory=set)
    _circles: dict[str, list[str]] = field(default_factory=dict)

    def together(self, jobs: Mapping[str, Job], broken: list[str]) -> None:
        """Learn what jobs there are beside each other; done once before any is looked at closely."""
        self._known = {*jobs, *broken}
        self._circles = circles({name: [each.job for each in job.after] for name, job in jobs.items()})
        self._names = _names_of(self.inventory)

    def shared(self) -> list[tuple[str, str]]:
        """Return what is wrong (key and sentence) with what jobs take from the calendar: said once."""
        usable = Usable()
        zone = usable.attempt("time_zone", lambda: zone_of(self.calendar.time_zone))
        for name in self.calendar.blackouts if zone else []:
            usable.attempt("blackouts", lambda name=name: self._blackouts(name))  # type: ignore[misc]
        return usable.wrong

    def closely(self, job: Job) -> Usable:
        """Return what a resolved job means, with all that is wrong about it."""
        usable = Usable()
        zone = usable.attempt("time_zone", lambda: zone_of(job.time_zone))
        if zone is not None:
            self._times(job, zone, usable)
        usable.attempt("playbook", lambda: self._playbook(job))
        usable.attempt("extra_vars", lambda: self._variables(job))
        usable.attempt("concurrency", lambda: self._keys(job))
        usable.attempt("after", lambda: self._after(job))
        for name in job.blackouts or []:
            found = usable.attempt("blackouts", lambda name=name: self._blackouts(name))  # type: ignore[misc]
            usable.blackouts += found or Blackouts()
        return usable

    def _times(self, job: Job, zone: ZoneInfo, usable: Usable) -> None:
        rule = usable.attempt("schedule", lambda: parse_rule(job.schedule))
        usable.window = usable.attempt("window", lambda: parse_window(job.window, zone))
        if rule is None:
            return
        schedule = usable.attempt("schedule", lambda: Schedule(rule, zone, job.anchor))
        if schedule is None:
            return
        usable.schedule = schedule
        if schedule.after(_EPOCH) is None:
            usable.wrong.append(("schedule", "it never comes; mend its days"))
        for hour, minute in rule.times_of_day if usable.window else ():
            if usable.window and not usable.window.holds(time(hour, minute)):
                usable.wrong.append(
                    (
                        "schedule",
                        f"{hour:02}:{minute:02} is outside the window {usable.window}; move one of them",
                    )
                )

    def _playbook(self, job: Job) -> None:
        known("playbook", [job.playbook], sorted(path.stem for path in self.root.glob("playbooks/*.yml")))

    def _variables(self, job: Job) -> None:
        if not job.extra_vars:
            return  # the roles' specs need not be read
        check_extra_vars(job.variables)
        for name, value in job.variables.items():
            if looks_secret(name, value):
                raise ConfigurationError(
                    f"{name} looks like a secret; keep it in the inventory's secrets file"
                )
        playbook = self.root / "playbooks" / f"{job.playbook}.yml"
        check_role_variables(job.variables, self.root, playbook)

    def _keys(self, job: Job) -> None:
        if self._names is None or not job.enabled:
            return  # a job that waits for hosts to be there may name their group
        for key in job.concurrency:
            kind, _, name = key.partition(":")
            if kind in self._names:
                known(f"{kind} in the inventory", [name], sorted(self._names[kind]))

    def _after(self, job: Job) -> None:
        known("job", [each.job for each in job.after], sorted(self._known))
        if circle := self._circles.get(job.name):
            raise ConfigurationError(f"it waits for itself ({' → '.join(circle)}); break the circle")

    def _blackouts(self, name: str) -> Blackouts:
        if name not in self._files:
            path = self.inventory / "group_vars" / "all" / name
            try:
                self._files[name] = blackouts.read(path, zone_of(self.calendar.time_zone), name)
            except ConfigurationError as error:
                self._files[name] = error
        found = self._files[name]
        if isinstance(found, ConfigurationError):
            raise found
        return found


def circles(after: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return, for each job that waits for itself, the way round: `["a", "b", "a"]`."""
    found: dict[str, list[str]] = {}
    for start in after:
        came_from = dict.fromkeys(after[start], start)
        left = list(came_from)
        while left and start not in came_from:
            name = left.pop()
            fresh = [other for other in after.get(name, []) if other not in came_from]
            came_from |= dict.fromkeys(fresh, name)
            left += fresh
        if start in came_from:
            way = [start, came_from[start]]
            while way[-1] != start:
                way.append(came_from[way[-1]])
            found[start] = way[::-1]
    return found


def _names_of(inventory: Path) -> dict[str, set[str]] | None:
    """Return the names by kind, `group` and `host`, of a YAML inventory; None where only Ansible can tell."""
    path = inventory / "hosts.yml"
    try:
        document = nodes.compose(path)
    except nodes.UnreadableError:
        return None
    names: dict[str, set[str]] = {"group": {"all"}, "host": set()}
    for kind, name in _named(nodes.pairs(document)):
        names[kind].add(name)
    return names


def _named(groups: list[tuple[str, yaml.Node]]) -> Iterator[tuple[str, str]]:
    for name, body in groups:
        yield "group", name
        parts = dict(nodes.pairs(body))
        for host, _ in nodes.pairs(parts.get("hosts")):
            yield "host", host
        yield from _named(nodes.pairs(parts.get("children")))
