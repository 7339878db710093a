"""Findings as a person reads them in a terminal at three in the morning: the worst first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from courtkeeper.cli.common import printable
from courtkeeper.findings import Finding, Status, by_severity

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {
    "OK": "green",
    "WARN": "yellow",
    "CRIT": "bold red",
    "UNKNOWN": "yellow",
    "SKIPPED": "yellow",
    "FAILED": "bold red",
    "REFUSED": "bold red",
    "CANCELLED": "yellow",
    "TIMEOUT": "bold red",
}
_WORST_FIRST = (Status.CRIT, Status.WARN, Status.UNKNOWN, Status.SKIPPED, Status.OK)
_INDENT = 9  # the longest word and two spaces


def counted(findings: Iterable[Finding]) -> str:
    """Return `findings: 1 CRIT 2 SKIPPED 40 OK`."""
    statuses = [finding.status for finding in findings]
    if not statuses:
        return "no findings"
    counts = {status: statuses.count(status) for status in _WORST_FIRST}
    return "findings: " + " ".join(f"{count} {status.name}" for status, count in counts.items() if count)


def show(console: Console, findings: Iterable[Finding], *, most_ok: int) -> None:
    """Print findings, the worst first. More good ones than `most_ok` are only counted."""
    ordered = by_severity(findings)
    good = [finding for finding in ordered if finding.status is Status.OK]
    bad = [finding for finding in ordered if finding.status is not Status.OK]
    if not ordered:
        return
    console.print()
    for finding in bad:
        _block(console, finding)
    if len(good) > most_ok:
        line(console, f"{len(good)} {'more ' if bad else ''}are OK.")
    else:
        _table(console, good)
    console.print()


def line(console: Console, text: str) -> None:
    """Print one line as it is, never broken: what is in it may be copied."""
    console.print(printable(text), markup=False, soft_wrap=True)


def _block(console: Console, finding: Finding) -> None:
    from rich.padding import Padding
    from rich.text import Text

    word = finding.status.name
    head = Text.assemble(
        (f"{word:<{_INDENT}}", COLOURS[word]), (printable(finding.subject), "bold"), _id(finding)
    )
    console.print(head, soft_wrap=True)
    console.print(Padding(Text(printable(finding.summary)), (0, 0, 0, _INDENT)))
    for label, text in (("Done: ", finding.applied), ("Mend: ", finding.fix), ("Undo: ", finding.undo)):
        if text and not (label == "Mend: " and finding.applied):
            line(console, " " * _INDENT + label + text)
    console.print()


def _id(finding: Finding) -> tuple[str, str]:
    """Return what --check, --threshold and `findings --id` take, as the end of a line."""
    return f" ({printable(finding.id)})", "dim"


def _table(console: Console, good: Iterable[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    for _ in range(2):
        table.add_column(overflow="fold")  # names are there to be copied
    for finding in good:
        cells = (Text(printable(finding.subject)), Text.assemble(printable(finding.summary), _id(finding)))
        table.add_row(Text("OK", COLOURS["OK"]), *cells)
    if table.row_count:
        console.print(table)
