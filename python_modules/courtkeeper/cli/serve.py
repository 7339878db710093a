"""`courtkeeper serve -i INVENTORY`: run a system's calendar by itself, and show the dashboard."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, stores, web_options
from courtkeeper.cli.options import InventoryOption
from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from courtkeeper.calendar.load import Loaded
    from courtkeeper.scheduler.forecast import Preview


def command(
    inventory: InventoryOption,
    workers: Annotated[int, typer.Option("--workers", min=1, max=100, help="How many runs at once.")] = 4,
    every: Annotated[
        float, typer.Option("--every", min=0.05, max=60, help="How often it looks.", metavar="SECONDS")
    ] = 1.0,
    drain: Annotated[
        float,
        typer.Option("--drain", min=0, help="How long runs may go on when it is stopped.", metavar="SECONDS"),
    ] = 0.0,
    preview: Annotated[
        float | None,
        typer.Option(
            "--preview", min=0, max=24 * 400, help="Only say what would run so long.", metavar="HOURS"
        ),
    ] = None,
    web_only: web_options.WebOnly = False,
    no_web: web_options.NoWeb = False,
    listen: web_options.Listen = "127.0.0.1",
    port: web_options.Port = web_options.PORT,
    token_file: web_options.TokenFile = None,
    identity_header: web_options.IdentityHeader = "",
    trusted_proxy: web_options.TrustedProxy = None,
    operator: web_options.Operator = None,
    name: web_options.Name = None,
    certificate: web_options.Certificate = None,
    key: web_options.Key = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: one object a line, or the preview.")
    ] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Run what the system's calendar says, until SIGTERM or SIGINT; a second one ends the runs at once.

    The dashboard is served beside it, on this machine alone unless --listen says otherwise.

    Exit code 0; 2: wrong usage or configuration, with --preview also where the calendar is to be mended.
    """
    from courtkeeper.runner.options import find_inventory

    checkout = common.checkout(root)
    directory = find_inventory(checkout, inventory)
    if preview is not None:
        _preview(checkout, directory, timedelta(hours=preview), as_json=as_json)
        return
    if web_only and no_web:
        raise ConfigurationError("--web-only and --no-web leave nothing to serve: give one of them, or none.")
    say = _say_json if as_json else _say
    given = web_options.Given(
        host=listen, port=port, token_file=token_file, identity_header=identity_header,
        trusted_proxies=tuple(trusted_proxy or ()), operators=frozenset(operator or ()),
        names=tuple(name or ()), certificate=certificate, key=key,
    )  # fmt: skip
    dashboard = None if no_web else web_options.prepared(given)
    from courtkeeper import structs
    from courtkeeper.scheduler import service

    structs.prepare()  # all that follows has threads
    with (
        _stopped_by_signals() as (stop, at_once),
        stores.opened(checkout) as store,
        dashboard(checkout, directory, store, say) if dashboard else contextlib.nullcontext(),
    ):
        if web_only:
            stop.wait()
            return
        service.serve(
            checkout, directory, store,
            workers=workers, every_s=every, drain_s=drain, say=say, stop=stop, at_once=at_once,
        )  # fmt: skip


def _preview(root: Path, inventory: Path, length: timedelta, *, as_json: bool) -> None:
    from courtkeeper.calendar.load import load
    from courtkeeper.scheduler.forecast import preview

    loaded = load(inventory, root)
    now = datetime.now(UTC)
    with stores.opened(root) as store:
        coming = preview(store, inventory.name, loaded, now, now + length)
    if as_json:
        problems = [str(problem) for problem in loaded.problems]
        common.print_json({"slots": coming, "problems": problems})
    else:
        _show(loaded, coming, length)
    sys.exit(common.MISUSED if loaded.problems else 0)


def _show(loaded: Loaded, coming: list[Preview], length: timedelta) -> None:
    from courtkeeper.calendar.recurrence import zone_of
    from courtkeeper.cli.calendar_common import usual_zone

    usual = usual_zone(loaded)
    for problem in loaded.problems:
        sys.stderr.write(f"courtkeeper: {common.printable(str(problem))}\n")
    for each in coming:
        notes = [each.obstacle] if each.obstacle else []
        notes += ["ends after its window closes"] if each.fits is False else []
        notes += [f"waits for {', '.join(each.waits_for)}"] if each.waits_for else []
        notes += ["waits for approval"] if each.approval else []
        takes = "?" if each.expected_s is None else f"{each.expected_s / 60:.1f} min"
        text = f"{each.scheduled_for.astimezone(zone_of(usual)):%Y-%m-%d %H:%M}  {takes:>9}  {each.job}"
        sys.stdout.write(common.printable(f"{text}  {'; '.join(notes)}".rstrip()) + "\n")
    hours = length / timedelta(hours=1)
    said = f"\nTimes are {usual}'s." if coming else f"Nothing is due within {hours:g} h."
    sys.stdout.write(f"{said}\n")


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[tuple[threading.Event, threading.Event]]:
    stop, at_once = threading.Event(), threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        (at_once if stop.is_set() else stop).set()

    names = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
        names.append(signal.SIGHUP)
    before = {name: signal.signal(name, handle) for name in names}
    try:
        yield stop, at_once
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _say(sentence: str) -> None:
    now = datetime.now(UTC)
    with contextlib.suppress(OSError):  # a log on a full disk must not end the scheduler
        sys.stderr.write(common.printable(f"{now:%Y-%m-%dT%H:%M:%SZ} {sentence}") + "\n")
        sys.stderr.flush()


def _say_json(sentence: str) -> None:
    with contextlib.suppress(OSError):
        common.print_json({"at": datetime.now(UTC), "said": sentence})
        sys.stdout.flush()
