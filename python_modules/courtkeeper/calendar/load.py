"""From an inventory's `calendar.yml` to jobs that can run: all problems at once, the good jobs still usable.

The file is read without Ansible, so that a scheduler can look at it every few seconds: it holds plain values
and no templates. A job that leaves any doubt about what is meant is not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import yaml

from courtkeeper.calendar import checks, nodes
from courtkeeper.calendar.blackouts import Blackouts
from courtkeeper.calendar.checks import Usable
from courtkeeper.calendar.model import Calendar, Job
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.calendar.window import Window
from courtkeeper.findings import ConfigurationError
from courtkeeper.runner.options import shown

KEY = "courtkeeper_calendar"
PATH = Path("group_vars", "all", "calendar.yml")
Struct = TypeVar("Struct", Calendar, Job)
# What a job takes from the calendar and cannot run without.
_RELIED_ON = {"time_zone", "blackouts"}


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something to mend: `line` counts from 1, `job` is empty where no single job is meant."""

    file: str
    line: int
    sentence: str
    job: str = ""

    def __str__(self) -> str:
        """Return it as a person reads it, and as an editor jumps to it."""
        return f"{self.file}:{self.line}: {f'job {self.job}: ' if self.job else ''}{self.sentence}"


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A calendar as it can be used.

    `jobs` are resolved, good, and in the order of the file; `schedules`, `windows` and `blackouts` are theirs
    by name. `broken` names the jobs that cannot be used, and `problems` says why.
    """

    file: str
    jobs: tuple[Job, ...] = ()
    schedules: dict[str, Schedule] = field(default_factory=dict)
    windows: dict[str, Window | None] = field(default_factory=dict)
    blackouts: dict[str, Blackouts] = field(default_factory=dict)
    broken: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def job(self, name: str) -> Job:
        """Return a good job. Raises ConfigurationError that says what there is, or what is wrong with it."""
        for job in self.jobs:
            if job.name == name:
                return job
        if name in self.broken:
            # Where it has none of its own, it relies on what is wrong for all.
            about = [problem for problem in self.problems if problem.job in (name, "")]
            raise ConfigurationError(str(max(about, key=lambda problem: problem.job)))
        names = [job.name for job in self.jobs]
        near = get_close_matches(name, names, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names) or 'none'}."
        raise ConfigurationError(f"{self.file} has no job {name!r}: {hint}")


@dataclass(slots=True)
class _Notes:
    """What is wrong with a calendar, as far as it was read."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def add(self, node: yaml.Node | int, sentence: str, job: str = "") -> None:
        line = node if isinstance(node, int) else nodes.line_of(node)
        self.problems.append(Problem(self.file, line, sentence, job))


def load(inventory: Path, root: Path) -> Loaded:
    """Return the calendar of the inventory directory `inventory` in the checkout `root`. Never raises.

    A file that cannot be read at all gives no jobs and one problem.
    """
    notes = _Notes(shown(inventory / PATH, root))
    try:
        node = _value(inventory / PATH)
    except nodes.UnreadableError as error:
        notes.add(error.line, str(error))
        return Loaded(file=notes.file, problems=tuple(notes.problems))
    calendar, spoilt = _calendar(node, notes)
    look = checks.Look(root=root, inventory=inventory, calendar=calendar)
    for key, sentence in look.shared():
        notes.add(nodes.at(node, key), sentence)
        spoilt.add(key)
    entries, broken = _entries(node, spoilt, notes)
    loaded = Loaded(file=notes.file)
    look.together({name: job for name, (job, _) in entries.items()}, broken)
    for name, (job, entry) in entries.items():
        usable = look.closely(calendar.resolved(job))
        for key, sentence in usable.wrong:
            notes.add(_where(node, entry, key), sentence, name)
        if usable.wrong:
            broken.append(name)
        else:
            _add(loaded, calendar.resolved(job), usable)
    loaded.broken, loaded.problems = tuple(broken), tuple(sorted(notes.problems))
    return loaded


def _value(path: Path) -> yaml.MappingNode:
    node = dict(nodes.pairs(nodes.compose(path))).get(KEY)
    if isinstance(node, yaml.MappingNode):
        return node
    line = nodes.line_of(node) if node else 1
    raise nodes.UnreadableError(f"{KEY} has no jobs; write `{KEY}:`, `jobs:` below it, and the jobs", line)


def _add(loaded: Loaded, job: Job, usable: Usable) -> None:
    loaded.jobs += (job,)
    loaded.schedules[job.name] = usable.schedule
    loaded.windows[job.name] = usable.window
    loaded.blackouts[job.name] = usable.blackouts


def _where(calendar: yaml.Node, entry: yaml.Node, key: str) -> yaml.Node:
    """Return where a job's `key` stands: in the job, else in the calendar, else the job itself."""
    for node in (entry, calendar):
        if (found := nodes.at(node, key)) is not node:
            return found
    return entry


def _calendar(node: yaml.Node, notes: _Notes) -> tuple[Calendar, set[str]]:
    """Return what holds for all jobs, and the keys of it that are not to be trusted."""
    spoilt: set[str] = set()
    for key, line in nodes.doubled(node, deep=False):
        notes.add(line, f"{key} is said twice; keep one of them")
        spoilt.add(key)
    given: dict[str, Any] = {}
    for key, value in nodes.pairs(node):
        if key == "jobs":
            continue
        try:
            given[key] = nodes.built(value)
        except nodes.UnreadableError as error:
            notes.add(error.line, str(error))
            spoilt.add(key)
    wrong = _misfits(given, Calendar)
    for key, path, sentence in wrong:
        notes.add(nodes.at(node, key, *path), sentence)
        spoilt.add(key)
    good = {key: value for key, value in given.items() if key not in spoilt}
    return msgspec.convert(good, Calendar), spoilt


def _entries(
    node: yaml.Node, spoilt: set[str], notes: _Notes
) -> tuple[dict[str, tuple[Job, yaml.Node]], list[str]]:
    """Return the jobs whose values have the right shape, by name, and the names of the others."""
    listed = nodes.at(node, "jobs")
    if listed is node:
        notes.add(node, "jobs is missing; list the jobs below it")
    elif not isinstance(listed, yaml.SequenceNode):
        notes.add(listed, "jobs is no list; begin each job with `- name:`")
    found: dict[str, tuple[Job, yaml.Node]] = {}
    broken: list[str] = []
    for entry in nodes.items(listed) if listed is not node else []:
        name = _name(entry)
        if name and (name in found or name in broken):
            notes.add(entry, "its name is taken by a job above; give it another", name)
            continue
        job = _job(entry, name, notes)
        relies = job is not None and any(getattr(job, key) in ("", None) for key in spoilt & _RELIED_ON)
        if job is not None and not relies:
            found[name] = (job, entry)
        elif name:
            broken.append(name)
    return found, broken


def _name(entry: yaml.Node) -> str:
    """Return the name an entry gives itself, as far as it can be said in a sentence."""
    value = nodes.at(entry, "name")
    named = isinstance(value, yaml.ScalarNode) and value is not entry
    return str(value.value)[:60] if named else ""


def _job(entry: yaml.Node, name: str, notes: _Notes) -> Job | None:
    """Return an entry of the list as a job, or None with everything noted that is wrong with its shape."""
    doubled = list(
        nodes.doubled(entry)
    )  # before `<<` is merged, which puts keys beside those that replace them
    try:
        given = nodes.built(entry)
    except nodes.UnreadableError as error:
        notes.add(error.line, str(error), name)
        return None
    if not isinstance(given, dict):
        notes.add(entry, "a job is written as keys and values; begin it with `- name:`", name)
        return None
    known = len(notes.problems)
    for key, line in doubled:
        notes.add(line, f"{key} is said twice; keep one of them", name)
    for key, path, sentence in _misfits(given, Job):
        notes.add(nodes.at(entry, key, *path), sentence, name)
    return msgspec.convert(given, Job) if len(notes.problems) == known else None


_MENDS = {
    "name": "use small letters, digits and underscores, as nba_refresh",
    "window": "write it in quotes, as 01:00-05:00",
    "concurrency": "write group:NAME, host:NAME or resource:NAME",
    "anchor": "write a day, as 2026-01-05",
    "misfire": "say skip, latest or all",
    "after": "write `- job: backup` and `within_hours: 26` below it",
    "retries": "write `times: 2` below it",
    "extra_vars": "write names and plain values",
}


def _misfits(given: dict[Any, Any], kind: type[Struct]) -> list[tuple[str, list[str | int], str]]:
    """Return what does not fit `kind`: the key, the path below it, and the sentence."""
    hints = get_type_hints(kind, include_extras=True)
    fields = {each.name: each for each in msgspec.structs.fields(kind)}
    found: list[tuple[str, list[str | int], str]] = []
    for key, value in given.items():
        if key not in fields:
            near = get_close_matches(str(key), list(fields), 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
            found.append((str(key), [], f"{str(key)[:60]} is not known; {hint}"))
            continue
        if "{{" in str(value):
            found.append((key, [], f"{key} holds a template; the calendar takes plain values only"))
            continue
        try:
            msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            said, _, where = str(error).partition(" - at ")
            path = [int(at) if at else name for name, at in re.findall(r"\.(\w+)|\[(\d+)\]", where)]
            said = re.sub(r" matching regex .*", " of another form", said).replace("`", "")
            mend = _MENDS.get(key, "mend it")
            found.append((key, path, f"{key} cannot be: {said[0].lower()}{said[1:]}; {mend}"))
    missing = [name for name, each in fields.items() if each.required and name not in given]
    return found + [(name, [], f"{name} is missing; say it") for name in missing]


__all__ = ["KEY", "PATH", "Loaded", "Problem", "load"]
