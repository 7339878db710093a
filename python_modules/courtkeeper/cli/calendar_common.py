"""What the commands of `courtkeeper calendar` share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from courtkeeper.cli import common

if TYPE_CHECKING:
    from rich.console import Console

    from courtkeeper.calendar.load import Loaded


def calendar_of(inventory: str, root: str | None) -> Loaded:
    """Return the calendar of a system. Raises ConfigurationError where there is no such system."""
    from courtkeeper.calendar.load import load
    from courtkeeper.runner.options import find_inventory

    checkout = common.checkout(root)
    return load(find_inventory(checkout, inventory), checkout)


def usual_zone(loaded: Loaded) -> str:
    """Return the zone most jobs are in: a list of several jobs' times is in that one."""
    zones = [job.time_zone for job in loaded.jobs]
    return max(zones, key=zones.count, default="UTC")


def print_json(value: dict[str, Any]) -> None:
    """Print a value as one line of JSON."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


def show_problems(console: Console, loaded: Loaded) -> None:
    """Say what is wrong with a calendar, one line each."""
    from rich.text import Text

    for problem in loaded.problems:
        console.print(Text(common.printable(str(problem)), style="red"), soft_wrap=True)
    if loaded.broken:
        names = common.printable(", ".join(loaded.broken))
        console.print(Text(f"Not run until mended: {names}.", style="red"), soft_wrap=True)
