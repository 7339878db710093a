"""`courtkeeper run JOB -i INVENTORY`: run a job and say what it found, what it did and what is left to do."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from courtkeeper.cli import common, completion, planned, recorded
from courtkeeper.cli.options import InventoryOption
from courtkeeper.runner.options import RunOptions, parse_extra_vars
from courtkeeper.runner.processes import Cancellation


def command(
    job: Annotated[
        str,
        typer.Argument(
            metavar="JOB",
            help="A job of the system's calendar, or the name of a playbook.",
            autocompletion=completion.jobs,
        ),
    ],
    inventory: InventoryOption,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; say what would be done.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Record what changes, before and after.")] = False,
    date: Annotated[
        str | None, typer.Option("--date", help="The day the job is about, as 2026-02-11.", metavar="DATE")
    ] = None,
    limit: Annotated[str | None, typer.Option("--limit", help="Only these hosts or groups.")] = None,
    extra_var: Annotated[
        list[str] | None,
        typer.Option(
            "-e",
            "--extra-var",
            help="A variable for the playbook, or a JSON object of them.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Stop the run after so long.", metavar="SECONDS")
    ] = None,
    start_at: Annotated[
        str | None,
        typer.Option(
            "--start-at",
            help="Go on where it failed: `last` or a run's id leaves out the hosts that are done; a job that "
            "this one waits for runs that first, and then all that come after it.",
            metavar="RUN|JOB",
        ),
    ] = None,
    secrets_file: Annotated[
        Path | None,
        typer.Option("--secrets-file", help="A JSON object of secrets, instead of the inventory's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the run's record and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML report.")] = False,
    root: Annotated[
        str | None, typer.Option("--root", help="The checkout; else COURTKEEPER_ROOT, else found.")
    ] = None,
) -> None:
    """Run a job on a system, and report what it found and did.

    A job of the calendar has its playbook, limit, variables and time limit, where nothing else is said, and
    holds what it holds when it runs by itself. With --start-at JOB the jobs between run one after the other,
    and the first that does not end well, or finds something critical, is the last.

    Exit code 0: all good. 1: the job failed. 2: wrong usage or configuration. 3: critical findings.
    """
    asked = RunOptions(
        root=common.checkout(root),
        job=job,
        inventory=inventory,
        check=check,
        diff=diff,
        day=date,
        limit=limit,
        extra_vars=parse_extra_vars(extra_var or []),
        timeout_s=timeout,
        secrets_file=secrets_file,
        report=not no_report,
    )
    requests = planned.from_job(asked, start_at) if start_at is not None else []
    if not requests:
        options, locks = planned.by_calendar(asked)
        requests = [(options if start_at is None else planned.resumed(options, start_at), locks)]
    sys.exit(_run_all(requests, as_json=as_json, quiet=quiet))


def _run_all(requests: list[planned.Request], *, as_json: bool, quiet: bool) -> int:
    """Run one after the other, until one does not end well."""
    code = 0
    for number, (options, locks) in enumerate(requests, 1):
        code = _run(options, locks, as_json=as_json, quiet=quiet)
        left = [each.name for each, _ in requests[number:]]
        if code and left:
            again = f"courtkeeper run {left[-1]} -i {options.inventory} --start-at {options.name}"
            said = f"{options.name} did not end well, so these were not run: {', '.join(left)}"
            sys.stderr.write(f"courtkeeper: {said}; go on with `{again}`.\n")
            break
    return code


def _run(options: RunOptions, locks: tuple[str, ...], *, as_json: bool, quiet: bool) -> int:
    from courtkeeper import runner
    from courtkeeper.cli import summary

    cancel = Cancellation()
    with (
        cancelled_by_signals(cancel),
        recorded.in_store(options, locks, cancel) as sink,
        summary.live(options, silent=quiet or as_json) as on_progress,
    ):
        done = runner.run(options, on_progress=on_progress, cancel=cancel, observer=sink)
    if sink.trouble:
        sys.stderr.write(f"courtkeeper: {common.printable(sink.trouble)}\n")
    if as_json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(done.record).decode() + "\n")
    else:
        summary.show(done, options.root)
    return done.record.exit_code


@contextlib.contextmanager
def cancelled_by_signals(cancel: Cancellation) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into a request to cancel, and a second one into an end at once.

    SIGHUP comes when the terminal is closed or the connection lost; under nohup it stays ignored.
    The handlers that were there before are there again afterwards.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        cancel.request(f"by {signal.Signals(number).name}")

    before: dict[signal.Signals, Any] = {}
    try:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if name is signal.SIGHUP and signal.getsignal(name) is signal.SIG_IGN:
                continue
            before[name] = signal.signal(name, handle)
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


__all__ = ["cancelled_by_signals", "command"]
