"""A whole calendar for one engine: what was compiled, what it leaves out, and what is refused why."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import ModuleType
from typing import Any

import yaml

from courtkeeper.calendar.load import Loaded
from courtkeeper.calendar.model import Job
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.export import awx, cron, ics, kubernetes, systemd
from courtkeeper.export.command import Place
from courtkeeper.findings import ConfigurationError


class Target(StrEnum):
    """The engines a calendar can be compiled for."""

    SYSTEMD = "systemd"
    CRON = "cron"
    KUBERNETES = "kubernetes"
    ICS = "ics"
    AWX = "awx"


ENGINES: dict[Target, ModuleType] = {
    Target.SYSTEMD: systemd,
    Target.CRON: cron,
    Target.KUBERNETES: kubernetes,
    Target.ICS: ics,
    Target.AWX: awx,
}
_WIDTH = 110
# Without these a disruptive job would run when it must not: it is refused rather than exported without.
_GUARDS = {"window", "blackouts", "after", "approval", "skip"}


@dataclass(slots=True)
class Exported:
    """What came of an export. `files` maps names to texts; `compiled` the jobs to the engine's own words."""

    target: Target
    files: dict[str, str] = field(default_factory=dict)
    compiled: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an export needs beside the calendar: where jobs run, and what single engines want to know."""

    place: Place
    zone: str = ""  # of a crontab's machine; else that of most jobs
    image: str = "courtkeeper:latest"  # of a CronJob's container
    strict: bool = False  # refuse also what would leave something out


def export(loaded: Loaded, target: Target, now: datetime, options: Options, *, only: str = "") -> Exported:
    """Return the calendar for `target`. Disabled jobs are left out, but AWX's are written as disabled."""
    done = Exported(target)
    wanted = [job for job in loaded.jobs if only in ("", job.name) and (job.enabled or target is Target.AWX)]
    zones = [job.time_zone for job in wanted]
    zone = options.zone or max(zones, key=zones.count, default="UTC")
    taken: list[tuple[Job, Schedule]] = []
    pieces: list[Any] = []
    for job in wanted:
        schedule = loaded.schedules[job.name]
        try:
            compiled = ENGINES[target].compiled(schedule, now)
            missing = _guarded(job, target, options)
            pieces.append(_piece(target, job, schedule, now, options, zone))
        except ConfigurationError as error:
            done.refused[job.name] = str(error)
            continue
        taken.append((job, schedule))
        done.compiled[job.name] = compiled
        if missing:
            done.left_out[job.name] = missing
    done.files = _assembled(loaded, taken, pieces, done, now, options, zone)
    return done


def _assembled(
    loaded: Loaded,
    taken: list[tuple[Job, Schedule]],
    pieces: list[Any],
    done: Exported,
    now: datetime,
    options: Options,
    zone: str,
) -> dict[str, str]:
    """Return the files of the jobs that were taken, each beginning with where it comes from."""
    head = f"# Made by `courtkeeper calendar export --to {done.target}` from {loaded.file}; do not edit.\n"
    refused = "".join(_comment(f"{name}: refused: {reason}.") for name, reason in done.refused.items())
    noted = [(_note(job, done), piece) for (job, _), piece in zip(taken, pieces, strict=True)]
    notes = "".join(note for note, _ in noted)
    if done.target is Target.SYSTEMD:
        return {name: head + note + text for note, units in noted for name, text in units.items()}
    if done.target is Target.CRON:
        about = f"# For a machine whose own time zone is {zone}: cron knows no other.\n"
        return {"crontab": "".join([head, about, refused, *(f"{note}{lines}\n" for note, lines in noted)])}
    if done.target is Target.KUBERNETES:
        return {"cronjobs.yml": "".join([head, refused, *(note + text for note, text in noted)])}
    if done.target is Target.ICS:
        return {"calendar.ics": ics.document(taken, options.place, now)}
    lint = "# yamllint disable rule:line-length\n"  # a rule cannot be broken
    return {"schedules.yml": f"---\n{lint}{head}{refused}{notes}" + _yaml({"controller_schedules": pieces})}


def _piece(  # each engine's own shape
    target: Target, job: Job, schedule: Schedule, now: datetime, options: Options, zone: str
) -> Any:  # noqa: ANN401
    """Return a job's part of the files. Raises ConfigurationError where it cannot be said."""
    place = options.place
    if target is Target.SYSTEMD:
        return systemd.files(job, schedule, place, now)
    if target is Target.CRON:
        return "\n".join(cron.lines(job, schedule, place, now, zone))
    if target is Target.KUBERNETES:
        found = kubernetes.objects(job, schedule, place, now, options.image)
        return "".join(f"---\n{_yaml(each)}" for each in found)
    return awx.entry(job, schedule, place, now) if target is Target.AWX else None


def _yaml(value: object) -> str:
    return str(yaml.dump(value, Dumper=_Indented, sort_keys=False, width=_WIDTH, allow_unicode=True))


class _Indented(yaml.SafeDumper):
    """Writes lists indented below their key, as yamllint wants them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


def _note(job: Job, done: Exported) -> str:
    missing = done.left_out.get(job.name)
    return _comment(f"{job.name}: not kept here: {', '.join(missing)}.") if missing else ""


def _comment(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="# ", subsequent_indent="#   ") + "\n"


def _guarded(job: Job, target: Target, options: Options) -> list[str]:
    """Return what the engine cannot keep, in words. Raises ConfigurationError where it must."""
    engine = ENGINES[target]
    missing = {name: said for name, said in _wanted(job).items() if name not in engine.CARRIES}
    needed = [
        said for name, said in missing.items() if options.strict or (job.disruptive and name in _GUARDS)
    ]
    if needed:
        why = "it is disruptive, and " if job.disruptive and not options.strict else ""
        raise ConfigurationError(
            f"{why}{engine.NAME} cannot keep {', '.join(needed)}; leave it to `courtkeeper serve`"
        )
    return list(missing.values())


def _wanted(job: Job) -> dict[str, str]:
    """Return what holds for a job beside its schedule, in words."""
    given = {
        "window": f"window {job.window}" if job.window else "",
        "blackouts": "blackouts" if job.blackouts else "",
        "after": "after " + ", ".join(f"{each.job} within {each.within_hours:g} h" for each in job.after),
        "approval": "approval" if job.approval else "",
        "retries": f"{job.retries.times} retries" if job.retries.times else "",
        "concurrency": "concurrency " + ", ".join(job.concurrency) if job.concurrency else "",
        str(job.misfire_policy): f"misfire {job.misfire_policy}",
    }
    if not job.after:
        del given["after"]
    return {name: said for name, said in given.items() if said}
