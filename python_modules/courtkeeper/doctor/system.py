"""What each system says of itself: its secrets file, its calendar, whom it tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from courtkeeper.calendar import load as calendar
from courtkeeper.doctor import Patient, finding
from courtkeeper.findings import ConfigurationError, CourtkeeperError, Finding, Status
from courtkeeper.kpi import probes
from courtkeeper.notify import load as notifications
from courtkeeper.notify.model import MessageState
from courtkeeper.notify.outbox import Outbox
from courtkeeper.runner.options import shown
from courtkeeper.runner.secrets import load_secrets
from courtkeeper.store.connection import Database, locate
from courtkeeper.store.schema import current, revisions

_MOST = 10


def secrets(patient: Patient) -> Iterator[Finding]:
    """Each system's secrets file: there, readable, and its owner's alone."""
    for inventory in patient.inventories:
        name = shown(inventory, patient.root)
        try:
            found = load_secrets(patient.root, inventory, None)
        except ConfigurationError as error:
            # The platform that was never started has no secrets yet, and needs none.
            embedded = "platform up" in str(error) and "does not exist" in str(error)
            status = Status.SKIPPED if embedded else Status.CRIT
            yield finding("secrets", name, status, str(error), str(error).rpartition(": ")[2])
        else:
            text = f"{len(found)} secrets, readable by their owner alone." if found else "It names no file."
            yield finding("secrets", name, Status.OK, text, observed=len(found))


def calendars(patient: Patient) -> Iterator[Finding]:
    """Each system's calendar, and whether the channels that its jobs name are there."""
    for inventory in patient.inventories:
        name = shown(inventory, patient.root)
        if not (inventory / calendar.PATH).exists():
            fix = f"write {name}/{calendar.PATH}"
            text = "It has no calendar: nothing runs by itself."
            yield finding("calendar", name, Status.SKIPPED, text, fix)
            continue
        loaded = calendar.load(inventory, patient.root)
        for problem in loaded.problems[:_MOST]:
            yield finding(
                "calendar", f"{problem.file}:{problem.line}", Status.CRIT, str(problem), "mend that line"
            )
        if not loaded.problems:
            text = f"{len(loaded.jobs)} jobs, all good."
            yield finding("calendar", name, Status.OK, text, observed=len(loaded.jobs))
        yield from _channels(patient, inventory, {each for job in loaded.jobs for each in job.notify or []})


def _channels(patient: Patient, inventory: Path, named: set[str]) -> Iterator[Finding]:
    name = shown(inventory, patient.root)
    try:
        found = notifications.load(inventory, patient.root)
        asked = probes.load(inventory, patient.root)
    except ConfigurationError as error:
        yield finding("notifications", name, Status.CRIT, str(error), "mend that line")
        return
    for channel in sorted(named - set(found.names)):
        text = f"Jobs are to tell {channel}, which is no channel of {name}/{notifications.PATH}."
        yield finding(
            "notifications", channel, Status.CRIT, text, "declare it there, or take it out of the calendar"
        )
    try:
        known = load_secrets(patient.root, inventory, None) if found.names else {}
        for channel in found.names:
            notifications.address(notifications.channel(channel, found), known)
    except ConfigurationError as error:
        yield finding("notifications", name, Status.CRIT, str(error), "add it to the secrets file")
        return
    if not named - set(found.names):
        text = f"{len(found.names)} channels with their addresses, {len(asked)} probes."
        yield finding("notifications", name, Status.OK, text, observed=len(found.names))


def messages(patient: Patient) -> Iterator[Finding]:
    """Messages that were given up."""
    database = Database(locate(patient.root))
    try:
        if database.is_sqlite and not Path(database.name).exists():
            return
        if current(database) != revisions()[-1]:
            return
        for inventory in patient.inventories:
            lost = Outbox(database, inventory.name).latest(state=MessageState.GIVEN_UP, limit=_MOST)
            for each in lost:
                text = (
                    f"{each.title!r} of {each.created_at:%Y-%m-%d} never reached {each.channel}: {each.error}"
                )
                fix = f"mend it, and try: courtkeeper notify test {each.channel} -i {inventory.name}"
                yield finding("messages", f"{each.channel} {each.reference}", Status.WARN, text, fix)
            if not lost:
                yield finding("messages", inventory.name, Status.OK, "No message was given up.")
    except CourtkeeperError as error:
        yield finding("messages", "", Status.UNKNOWN, str(error))
    finally:
        database.close()


CHECKS = (secrets, calendars, messages)
