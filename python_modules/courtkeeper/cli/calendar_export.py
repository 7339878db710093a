"""`courtkeeper calendar export`: the calendar for other engines."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common
from courtkeeper.cli.calendar_common import calendar_of, print_json
from courtkeeper.cli.options import InventoryOption, JsonOption, RootOption
from courtkeeper.export.exporting import Target
from courtkeeper.findings import ConfigurationError, CourtkeeperError

if TYPE_CHECKING:
    from courtkeeper.calendar.load import Loaded
    from courtkeeper.export.exporting import Exported, Options


def add_to(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("export", short_help="Compile the calendar for another engine.")(export_calendar)


def export_calendar(
    inventory: InventoryOption,
    to: Annotated[Target, typer.Option("--to", help="The engine.")],
    job: Annotated[str, typer.Option("--job", help="Only this job.")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="A directory for the files, instead of standard output.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse also a job of which the engine leaves something out.")
    ] = False,
    zone: Annotated[
        str, typer.Option("--zone", help="The time zone of the crontab's machine; else that of most jobs.")
    ] = "",
    image: Annotated[
        str, typer.Option("--image", help="The image of the CronJobs' containers.")
    ] = "courtkeeper:latest",
    directory: Annotated[
        str, typer.Option("--directory", help="The checkout where the jobs will run; else this one.")
    ] = "",
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Compile the calendar for another engine: exactly, or refused with the reason.

    Disabled jobs are left out; AWX gets theirs as disabled schedules.

    Exit code 0: all were compiled. 1: some were refused. 2: wrong usage, or something is wrong with the
    calendar (the good jobs are compiled all the same).
    """
    from courtkeeper.export.exporting import export

    loaded = calendar_of(inventory, root)
    if job:
        loaded.job(job)
    options = _options(loaded, root, directory, zone=zone, image=image, strict=strict)
    done = export(loaded, to, datetime.now(UTC), options, only=job)
    if out is not None:
        _write(out, done.files)
    if as_json:
        print_json(
            {
                "to": str(to),
                "files": done.files if out is None else {name: str(out / name) for name in done.files},
                "compiled": done.compiled,
                "left_out": done.left_out,
                "refused": done.refused,
                "problems": [str(each) for each in loaded.problems],
            }
        )
    else:
        _show(loaded, done, out)
    sys.exit(common.MISUSED if loaded.problems else common.FAILED if done.refused else 0)


def _options(
    loaded: Loaded, root: str | None, directory: str, *, zone: str, image: str, strict: bool
) -> Options:
    from courtkeeper.calendar.load import PATH
    from courtkeeper.calendar.recurrence import zone_of
    from courtkeeper.export.command import Place
    from courtkeeper.export.exporting import Options

    if zone:
        zone_of(zone)
    where = directory.rstrip("/") or str(common.checkout(root))
    if not Path(where).is_absolute():
        raise ConfigurationError(f"--directory {directory} must be absolute, as /opt/courtkeeper.")
    inventory = loaded.file.removesuffix(str(PATH)).rstrip("/")
    place = Place(directory=where, program=f"{where}/.venv/bin/courtkeeper", inventory=inventory)
    return Options(place=place, zone=zone, image=image, strict=strict)


def _write(out: Path, files: dict[str, str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, "utf-8", newline="")
    except OSError as error:
        raise CourtkeeperError(
            f"{out} cannot be written: {error.strerror or error}; choose another."
        ) from None


def _show(loaded: Loaded, done: Exported, out: Path | None) -> None:
    """Print the files, or where they are; and on standard error what did not get into them."""
    for name, text in done.files.items():
        if out is not None:
            sys.stdout.write(f"{out / name}\n")
        else:
            # Several files in one stream are told apart as by head(1).
            sys.stdout.write((f"==> {name} <==\n" if len(done.files) > 1 else "") + text)
    for problem in loaded.problems:
        sys.stderr.write(f"{common.printable(str(problem))}\n")
    for name, reason in done.refused.items():
        sys.stderr.write(f"refused: {name}: {common.printable(reason)}.\n")
