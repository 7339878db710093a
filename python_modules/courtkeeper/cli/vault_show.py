"""Backups and drills as tables. Nothing in them is cut short: ids are there to be copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from courtkeeper.cli import common, findings

if TYPE_CHECKING:
    from rich.console import Console

    from courtkeeper.findings import Result
    from courtkeeper.vault.catalog import Backup, Catalog
    from courtkeeper.vault.settings import VaultSettings


def backups(settings: VaultSettings, seen: Catalog, missing: Sequence[str], now: datetime) -> None:
    """Print the backups, source by source, and what a table cannot show; `missing` sources have none."""
    from rich.console import Console

    console = Console(highlight=False)
    for source in dict.fromkeys(backup.source for backup in seen.backups):
        rows = [_backup(backup, now, len(settings.destinations)) for backup in seen.of(source)]
        _table(console, source, ("Backup", "Age", "Size", "Sealed", "Proven", "Where"), rows, right=(1, 2, 3))
        console.print()
    _below(console, settings, seen, missing)


def drills(console: Console, proofs: Iterable[dict[str, Any]]) -> None:
    """Print one line for each backup that was drilled (`details.drills` of a result)."""
    from courtkeeper.vault.findings import lasted, sized

    rows = [
        (
            f"{proof['source']} {proof['backup']}",
            "yes" if proof["passed"] else "NO",
            f"{sized(proof['plain_bytes'])} in {lasted(proof['restore_s'])}",
            "" if proof["rto_s"] is None else lasted(proof["rto_s"]),
            "" if proof["rpo_s"] is None else lasted(proof["rpo_s"]),
        )
        for proof in proofs
    ]
    if rows:
        console.print()
        _table(console, "", ("Backup", "Proven", "Restored", "First write", "Lost"), rows)


def former(result: Result) -> None:
    """Print what lies beside, each name in one line, as it is to be copied."""
    from rich.console import Console

    console = Console(highlight=False)
    findings.line(console, result.msg)
    for action in result.actions:
        findings.line(console, f"  {action}")
    for finding in result.findings:
        console.print()
        findings.line(console, finding.subject)
        findings.line(console, f"    {finding.summary}")


def _backup(backup: Backup, now: datetime, places_count: int) -> tuple[str, ...]:
    from courtkeeper.vault import places
    from courtkeeper.vault.findings import sized

    proven = f"{places.age(backup.proven_at, now)} ago" if backup.proven_at else "no"
    return (
        backup.id,
        places.age(backup.taken_at, now),
        sized(backup.plain_size),
        sized(backup.sealed_size),
        f"{proven}, held" if backup.held else proven,
        "everywhere" if len(backup.where) == places_count > 1 else ", ".join(backup.where),
    )


def _table(
    console: Console,
    title: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[int] = (),
) -> None:
    """Print rows; the last column is wrapped where the terminal is narrow, no other."""
    from rich.table import Table
    from rich.text import Text

    if title:
        console.print(Text(common.printable(title), "bold"))
    table = Table(box=None, pad_edge=False, collapse_padding=True, header_style="dim")
    for number, name in enumerate(heads):
        widest = max([len(name), *(len(row[number]) for row in rows)])
        table.add_column(
            name,
            justify="right" if number in right else "left",
            overflow="fold",
            no_wrap=number < len(heads) - 1,
            min_width=widest if number < len(heads) - 1 else None,
        )
    for row in rows:
        table.add_row(*(Text(common.printable(cell)) for cell in row))
    console.print(table)


def _below(console: Console, settings: VaultSettings, seen: Catalog, missing: Sequence[str]) -> None:
    """Say what is wrong, which sources have no backup, and the sums."""
    from rich.text import Text

    from courtkeeper.vault.findings import sized

    crit = ("CRIT  ", findings.COLOURS["CRIT"])
    wrong = [each for each in seen.problems if each.kind != "incomplete"]
    for problem in wrong:
        console.print(Text.assemble(crit, common.printable(problem.sentence)), soft_wrap=True)
    for source in missing:
        console.print(Text.assemble(crit, f"{source} has no backup"))
    half = len(seen.problems) - len(wrong)
    if half:
        console.print(f"{half} unfinished: at work, or killed, and then cleared away by pruning.")
    total = sum(copy.size for backup in seen.backups for copy in backup.copies)
    proven = sum(1 for backup in seen.backups if backup.proven_at)
    count = f"{len(seen.backups)} backup{'' if len(seen.backups) == 1 else 's'}"
    said = f"{count} of {settings.name}, {sized(total)} in all copies, {proven} proven by a drill."
    console.print(said if proven or not seen.backups else f"{said} Prove one: courtkeeper vault drill")
