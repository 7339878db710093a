"""What a person sees in the terminal: how far a run is, and at its end what came of it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from courtkeeper.cli import findings
from courtkeeper.cli.common import printable
from courtkeeper.runner.options import RunOptions, shown
from courtkeeper.runner.progress import Progress
from courtkeeper.runner.record import RunRecord, RunStatus

if TYPE_CHECKING:
    from rich.console import Console

    from courtkeeper.runner.driver import CompletedRun

_LINE_EVERY_S = 5.0
_MOST_OK_ROWS = 12
_MOST_ACTIONS = 20


@contextlib.contextmanager
def live(options: RunOptions, *, silent: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Show on stderr how far the run is: one live line in a terminal, else a plain line now and then."""
    if silent:
        yield None
    elif sys.stderr.isatty():
        with _bar(options) as tell:
            yield tell
    else:
        yield _Lines(options.job).tell


@contextlib.contextmanager
def _bar(options: RunOptions) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(f"{options.job}: starting", total=None, text="")

        def tell(now: Progress) -> None:
            bar.update(
                row,
                description=printable(f"{options.job}: {now.task}"),
                completed=now.done,
                total=now.total or None,
                text=printable(now.text),
            )

        yield tell


class _Lines:
    """Plain lines for a log: no more than one every few seconds, and none that says nothing new."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._last_at = 0.0

    def tell(self, now: Progress) -> None:
        """Write a line if the last one is some seconds old."""
        if time.monotonic() - self._last_at < _LINE_EVERY_S:
            return
        self._last_at = time.monotonic()
        steps = f" ({now.done}/{now.total})" if now.total else ""
        text = f" {now.text}" if now.text else ""
        # A terminal that was closed, or a reader that left, must not end the run half-way.
        with contextlib.suppress(OSError):
            sys.stderr.write(printable(f"{self._job}: {now.task}{steps}{text}") + "\n")
            sys.stderr.flush()


def show(done: CompletedRun, root: Path) -> None:
    """Print the summary of a run: the verdict, the findings, what was done, where the report is."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=False)
    record = done.record
    _verdict(console, record)
    findings.show(console, (h.finding for h in record.findings), most_ok=_MOST_OK_ROWS)
    _actions(console, record)
    page = done.report or done.directory / "run.json"
    findings.line(console, f"{'Report' if done.report else 'Record'}: {shown(page.resolve(), root)}")
    if done.report_error:
        findings.line(console, f"The report could not be written: {done.report_error}")


def verdict_word(record: RunRecord) -> str:
    """Return the one word that a run comes to: its own status if that is not OK, else the worst finding's."""
    return record.worst.name if record.status is RunStatus.OK else record.status.name


def _verdict(console: Console, record: RunRecord) -> None:
    from rich.text import Text

    word = verdict_word(record)
    parts = [f"{record.job} on {record.inventory}"]
    if record.check:
        parts.append("check mode: nothing was changed")
    elif record.changed:
        parts.append("changed")
    elif record.status is RunStatus.OK:
        parts.append("nothing changed")
    parts += [findings.counted(h.finding for h in record.findings), f"{record.duration_s:.1f} s"]
    line = Text.assemble(
        (word, findings.COLOURS.get(word, "bold")), f"  {', '.join(part for part in parts if part)}"
    )
    console.print(line)
    for sentence in filter(None, [record.message, *record.summaries]):
        findings.line(console, sentence)


def _actions(console: Console, record: RunRecord) -> None:
    if not record.actions:
        return
    # An action of check mode says itself that it would be: the heading is all that differs.
    findings.line(console, f"{'Would do' if record.check else 'Done'} ({len(record.actions)}):")
    for action in record.actions[:_MOST_ACTIONS]:
        findings.line(console, f"  {action}")
    if len(record.actions) > _MOST_ACTIONS:
        findings.line(console, f"  and {len(record.actions) - _MOST_ACTIONS} more")
