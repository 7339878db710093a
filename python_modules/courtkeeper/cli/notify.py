"""`courtkeeper notify list|test|deliver`: whom a system tells, and whether that works."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from courtkeeper.cli import common, completion, stores
from courtkeeper.cli.options import InventoryOption, JsonOption, RootOption
from courtkeeper.findings import ConfigurationError

if TYPE_CHECKING:
    from courtkeeper.notify.outbox import MessageRow
    from courtkeeper.notify.service import Setup

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("test", short_help="Send a test message to a channel, or a ping, now.")
def try_channel(
    channel: Annotated[
        str, typer.Argument(metavar="CHANNEL", help="Its name.", autocompletion=completion.channels)
    ],
    inventory: InventoryOption,
    as_json: JsonOption = False,
    root: RootOption = None,
) -> None:
    """Send a test message to a channel, or a ping to a dead man's switch, now.

    Exit code 0: it was taken. 1: it was not. 2: wrong usage or configuration.
    """
    from courtkeeper.notify import load
    from courtkeeper.notify.deliver import deliver
    from courtkeeper.notify.service import made_message

    found, where, _ = _setup(inventory, root)
    to = load.channel(channel, found.wanted)
    kind = load.masked(load.address(to, found.secrets))
    message = made_message(where.name, channel, datetime.now(UTC))
    deliver(to, message, found.secrets)
    if as_json:
        common.print_json({"channel": channel, "sent": True, "reference": message.reference})
    else:
        sys.stdout.write(f"{channel} ({kind}) took the test message {message.reference}.\n")


@app.command("list", short_help="Show the channels, and what was sent or waits.")
def list_channels(inventory: InventoryOption, as_json: JsonOption = False, root: RootOption = None) -> None:
    """Show the channels, without their addresses, and what was sent or is still to be sent.

    Exit code 0; 2: wrong usage or configuration.
    """
    from courtkeeper.notify.load import PATH
    from courtkeeper.notify.outbox import Outbox

    found, where, checkout = _setup(inventory, root)
    channels = [_described(found, name) for name in found.wanted.names]
    with stores.opened(checkout) as store:
        outbox = Outbox(store.database, where.name)
        counts, latest = outbox.counts(), outbox.latest(limit=20)
    if as_json:
        # The text of a message is for its readers; here it is what became of it.
        messages = [_brief(each) for each in latest]
        common.print_json({"channels": channels, "counts": counts, "messages": messages})
        return
    for each in channels:
        sys.stdout.write(f"{each['name']:<20} {each['kind']:<8} {each['address']}  {each['trouble']}\n")
    if not channels:
        sys.stdout.write(f"{where.name} tells nobody of anything: declare channels in {PATH}.\n")
    for row in latest:
        why = f"  {row.error}" if row.error else ""
        text = f"{row.created_at:%Y-%m-%d %H:%M}  {row.state:<8}  {row.channel}: {row.title}{why}"
        sys.stdout.write(common.printable(text) + "\n")


@app.command("deliver", short_help="Send what is due, once: where no `serve` runs.")
def deliver_now(inventory: InventoryOption, as_json: JsonOption = False, root: RootOption = None) -> None:
    """Look what has happened and send what is due, once: for who runs no `courtkeeper serve`.

    Exit code 0: nothing waits. 1: something could not be sent, and will be tried again. 2: wrong usage.
    """
    from courtkeeper.calendar.load import load as load_calendar
    from courtkeeper.notify.model import MessageState
    from courtkeeper.notify.outbox import Outbox
    from courtkeeper.notify.service import Notifier

    found, where, checkout = _setup(inventory, root)
    said: list[str] = []
    with stores.opened(checkout) as store:
        sent = Notifier(
            where.name,
            store=store,
            read=lambda: found,
            calendar=lambda: load_calendar(where, checkout),
            clock=lambda: datetime.now(UTC),
            say=said.append,
        ).tick()
        waiting = Outbox(store.database, where.name).counts().get(MessageState.WAITING, 0)
    if as_json:
        common.print_json({"sent": sent, "waiting": waiting, "said": said})
    else:
        for sentence in said:
            sys.stderr.write(f"courtkeeper: {common.printable(sentence)}\n")
        sys.stdout.write(f"{where.name}: {sent} sent, {waiting} waiting.\n")
    if waiting or said:
        sys.exit(common.FAILED)


def _setup(inventory: str, root: str | None) -> tuple[Setup, Path, Path]:
    from courtkeeper.notify.service import setup
    from courtkeeper.runner.options import find_inventory

    checkout = common.checkout(root)
    where = find_inventory(checkout, inventory)
    return setup(checkout, where), where, checkout


def _described(found: Setup, name: str) -> dict[str, str]:
    from courtkeeper.notify import load
    from courtkeeper.notify.model import Ping

    each = load.channel(name, found.wanted)
    address, trouble = "", ""
    try:
        address = load.masked(load.address(each, found.secrets))
    except ConfigurationError as error:
        trouble = str(error)
    kind = "ping" if isinstance(each, Ping) else "channel"
    return {"name": name, "kind": kind, "address": address, "trouble": trouble}


def _brief(row: MessageRow) -> dict[str, object]:
    return {
        "channel": row.channel,
        "event": row.event,
        "title": row.title,
        "state": row.state,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
        "attempts": row.attempts,
        "error": row.error,
        "reference": row.reference,
    }
