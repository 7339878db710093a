"""`courtkeeper calendar …`: what runs when on a system, what comes next, what is wrong, and other engines."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from courtkeeper.cli import calendar_export, calendar_gate, common
from courtkeeper.cli.calendar_common import calendar_of, print_json, show_problems, usual_zone
from courtkeeper.cli.options import InventoryOption, JsonOption, RootOption

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from courtkeeper.calendar.load import Loaded
    from courtkeeper.calendar.model import Job
    from courtkeeper.calendar.plan import Slot

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
calendar_export.add_to(app)
calendar_gate.add_to(app)

_YEAR = timedelta(days=366)


@app.command("list", short_help="Show the jobs: when they run, what holds, who answers.")
def list_jobs(inventory: InventoryOption, as_json: JsonOption = False, root: RootOption = None) -> None:
    """Show the jobs: when they run, when next, what holds for them, and who answers.

    Exit code 0; 2 where something is wrong with the calendar (the good jobs are shown all the same).
    """
    loaded = calendar_of(inventory, root)
    now = datetime.now(UTC)
    if as_json:
        print_json(
            {
                "file": loaded.file,
                "jobs": [_as_json(loaded, job, now) for job in loaded.jobs],
                "broken": list(loaded.broken),
                "problems": [_problem(each) for each in loaded.problems],
            }
        )
    else:
        _list(loaded, now)
    sys.exit(common.MISUSED if loaded.problems else 0)


def _as_json(loaded: Loaded, job: Job, now: datetime) -> dict[str, Any]:
    import msgspec

    from courtkeeper.calendar.words import words

    schedule = loaded.schedules[job.name]
    following = schedule.after(now) if job.enabled else None
    plain: dict[str, Any] = msgspec.to_builtins(job)
    return plain | {
        "schedule": str(schedule.rule),
        "words": words(schedule),
        "next": following.isoformat() if following else None,
        "locks": list(job.locks),
    }


def _problem(problem: object) -> dict[str, Any]:
    import dataclasses

    return dataclasses.asdict(problem) | {"text": str(problem)}  # type: ignore[call-overload,no-any-return]


def _list(loaded: Loaded, now: datetime) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from courtkeeper.calendar.words import words

    console = Console(highlight=False)
    usual = usual_zone(loaded)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("Job", "Next", "When", "Owner", ""):
        table.add_column(name, no_wrap=name in ("Job", "Next"))
    for job in loaded.jobs:
        schedule = loaded.schedules[job.name]
        following = schedule.after(now) if job.enabled else None
        cells = (
            job.name,
            _moment(following, schedule.zone) if following else "disabled",
            words(schedule) + ("" if job.time_zone == usual else f" {job.time_zone}"),
            job.owner,
            _remarks(job),
        )
        table.add_row(*(Text(common.printable(cell)) for cell in cells), style="" if job.enabled else "dim")
    if loaded.jobs:
        console.print(table)
        console.print(f"\n{len(loaded.jobs)} jobs of {loaded.file}; times are {usual}'s.")
    show_problems(console, loaded)


def _moment(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%a %d %b %H:%M}"


def _remarks(job: Job) -> str:
    """Return what a person should know of a job before anything else of it."""
    found = ["disruptive"] if job.disruptive else []
    found += ["check mode"] if job.check else []
    found += ["needs approval"] if job.approval else []
    found += [f"within {job.window}"] if job.window else []
    found += ["after " + ", ".join(each.job for each in job.after)] if job.after else []
    return ", ".join(found)


@app.command("next", short_help="Show what comes next, and what stands in its way.")
def next_slots(
    inventory: InventoryOption,
    job: Annotated[str, typer.Option("--job", help="Only this job.")] = "",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10_000, help="How many.")] = 20,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Show what comes next, and what stands in its way: a blackout, or a window that is closed.

    Exit code 0; 2 where something is wrong with the calendar (the good jobs are shown all the same).
    """
    from courtkeeper.calendar.plan import slots

    loaded = calendar_of(inventory, root)
    if job:
        loaded.job(job)
    now = datetime.now(UTC)
    found = list(islice(slots(loaded, now, now + 50 * _YEAR, only=job), count))
    if as_json:
        print_json(
            {
                "file": loaded.file,
                "slots": [_slot(each) for each in found],
                "problems": [_problem(each) for each in loaded.problems],
            }
        )
    else:
        _next(loaded, found, now)
    sys.exit(common.MISUSED if loaded.problems else 0)


def _slot(slot: Slot) -> dict[str, Any]:
    stands = slot.obstacle
    return {
        "job": slot.job.name,
        "scheduled_for": slot.scheduled_for.isoformat(),
        "obstacle": stands
        and {"kind": stands.kind, "text": stands.sentence, "until": stands.until.isoformat()},
    }


def _next(loaded: Loaded, found: list[Slot], now: datetime) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from courtkeeper.calendar.recurrence import zone_of

    console = Console(highlight=False)
    usual = usual_zone(loaded)
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=False)
    for slot in found:
        table.add_row(
            Text(_moment(slot.scheduled_for, zone_of(usual))),
            Text(f"in {_span(slot.scheduled_for - now)}"),
            Text(slot.job.name),
            Text(common.printable(slot.obstacle.sentence) if slot.obstacle else _remarks(slot.job)),
            style="yellow" if slot.obstacle else "",
        )
    if found:
        console.print(table)
        console.print(f"\nTimes are {usual}'s.")
    else:
        console.print("Nothing comes: no job is enabled.")
    show_problems(console, loaded)


def _span(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


@app.command("check", short_help="Say all that is wrong with the calendar, by file and line.")
def check_calendar(inventory: InventoryOption, as_json: JsonOption = False, root: RootOption = None) -> None:
    """Say all that is wrong with the calendar, with file and line, and what may not be meant.

    Exit code 0: all good. 2: something is to be mended; the jobs that it is not about run all the same.
    """
    from courtkeeper.calendar.notes import notes

    loaded = calendar_of(inventory, root)
    noted = notes(loaded, datetime.now(UTC))
    if as_json:
        print_json(
            {
                "file": loaded.file,
                "good": [job.name for job in loaded.jobs],
                "broken": list(loaded.broken),
                "problems": [_problem(each) for each in loaded.problems],
                "notes": noted,
            }
        )
    else:
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=True)
        show_problems(console, loaded)
        for note in noted:
            console.print(common.printable(note), markup=False)
        if not loaded.problems:
            console.print(f"{loaded.file} is good: {len(loaded.jobs)} jobs.", markup=False)
    sys.exit(common.MISUSED if loaded.problems else 0)


__all__ = ["app"]
