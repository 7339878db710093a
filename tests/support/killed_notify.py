"""A program that looks for news and sends it, over and over, until somebody kills it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from courtkeeper.calendar.load import load
from courtkeeper.notify.service import Notifier, setup
from courtkeeper.store import open_store


def main() -> None:
    root = Path(sys.argv[1])
    inventory = root / "inventory/embedded"
    calendar = load(inventory, root)
    with open_store(root) as store:
        notifier = Notifier(
            "embedded",
            store=store,
            read=lambda: setup(root, inventory),
            calendar=lambda: calendar,
            clock=lambda: datetime.now(UTC),
            say=print,
        )
        while True:
            notifier.tick()
            print("ticked", flush=True)


if __name__ == "__main__":
    main()
