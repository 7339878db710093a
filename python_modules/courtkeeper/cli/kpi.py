"""`courtkeeper kpi [NAME]`: how well a system is kept, in numbers from evidence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, stores
from courtkeeper.cli.options import InventoryOption, JsonOption, RootOption

if TYPE_CHECKING:
    from courtkeeper.kpi.indicator import Kpi

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24


def command(
    inventory: InventoryOption,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One of them, by its key.")] = "",
    days: Annotated[int, typer.Option("--days", help="The window that is looked at.")] = 30,
    probe: Annotated[bool, typer.Option("--probe", help="Ask what is to be probed once, first.")] = False,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Show the key figures of a system, each with what it means. What has no evidence is unknown.

    Exit code 0; 2: wrong usage or configuration.
    """
    from courtkeeper.kpi.measure import measure
    from courtkeeper.kpi.probes import Prober, load
    from courtkeeper.runner.options import find_inventory

    checkout = common.checkout(root)
    where = find_inventory(checkout, inventory)
    probes = load(where, checkout)  # a file that cannot be read must not pass for one that declares nothing
    now = datetime.now(UTC)
    with stores.opened(checkout) as store:
        if probe:
            Prober(
                where.name,
                checkout,
                database=store.database,
                read=lambda: probes,
                clock=lambda: now,
                say=lambda _: None,
            ).tick(all_of_them=True)
        found = measure(store, where.name, now, days, name)
    if as_json:
        common.print_json({"system": where.name, "days": days, "at": now, "kpis": found})
    else:
        _show(found, where.name, days)


def _show(found: list[Kpi], system: str, days: int) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(f"{system}, the last {days} days", "dim"))
    for each in found:
        value = "unknown" if each.value is None else f"{each.value:.10g} {each.unit}"
        style = "yellow" if each.value is None else "bold"
        head = Text.assemble(
            (f"{each.title:<30}", "bold"), (f"{value:>16}", style), f"  {bars([p.value for p in each.trend])}"
        )
        console.print(head, soft_wrap=True)
        console.print(Padding(Text(common.printable(f"{each.basis} {each.definition}")), (0, 0, 0, 2)))
        for part in each.parts if len(each.parts) > 1 else []:
            own = "unknown" if part.value is None else f"{part.value:.4g} {each.unit}"
            console.print(Text(common.printable(f"    {part.name}: {own}")), soft_wrap=True)


def bars(values: list[float]) -> str:
    """Return the last values as bars, scaled from the lowest to the highest."""
    shown = values[-_WIDTH:]
    if len(shown) < 2:  # one point is no trend
        return ""
    low, high = min(shown), max(shown)
    step = (high - low) / (len(_BARS) - 1) or 1
    return "".join(_BARS[round((value - low) / step)] for value in shown)
