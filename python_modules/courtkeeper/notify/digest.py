"""The daily digest: what ran, what is wrong, what was missed. One a day, also where the day began late."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import exists, func, select

from courtkeeper.findings import Status
from courtkeeper.notify import texts
from courtkeeper.notify.model import Channel, Event
from courtkeeper.notify.notices import Standing
from courtkeeper.notify.outbox import Message
from courtkeeper.store.notice_tables import outbox
from courtkeeper.store.rows import SpanRow
from courtkeeper.store.states import SlotState
from courtkeeper.store.store import Store
from courtkeeper.store.tables import runs, slots

_MOST = 12
_DAY = timedelta(days=1)


def due(store: Store, system: str, channel: Channel, zone: ZoneInfo, now: datetime) -> date | None:
    """Return the local day whose digest a channel has not got yet, where its time has come; else None."""
    at = channel.digest_time
    local = now.astimezone(zone)
    if at is None or local.time() < at:
        return None
    same = (
        (outbox.c.system == system)
        & (outbox.c.channel == channel.name)
        & (outbox.c.key == _key(local.date()))
    )
    with store.database.read() as connection:
        stored = connection.execute(select(exists().where(same))).scalar_one()
    return None if stored else local.date()


def _key(day: date) -> str:
    return f"digest-{day}"


def message(
    store: Store,
    system: str,
    channel: Channel,
    day: date,
    now: datetime,
    *,
    standings: Mapping[str, Standing],
    link: str = "",
) -> Message:
    """Return the digest of the 24 hours before `now`."""
    ran = _runs(store, system, now)
    missed = _slots(store, system, now)
    counts = store.queries.count_open(system=system)
    wrong = store.queries.open_findings(system=system, limit=_MOST).rows
    failing = sorted((job, each) for job, each in standings.items() if each.bad)
    lines = [_ran(ran)]
    lines += [f"{missed} runs were missed." if missed > 1 else "1 run was missed."] if missed else []
    lines += [f"Failing: {job}, {standing.sentence}." for job, standing in failing]
    lines += _open(counts, wrong)
    lines += [f"See {link}"] if link else []
    good = not failing and not missed and not counts.get(Status.CRIT)
    word = "all well" if good else f"{len(failing)} failing" if failing else "something is wrong"
    return Message(
        channel=channel.name,
        event=Event.DIGEST,
        key=_key(day),
        title=f"[{system}] digest of {day}: {word}",
        body="\n".join(lines),
    )


def _runs(store: Store, system: str, now: datetime) -> Counter[str]:
    query = (
        select(runs.c.status, func.count().label("number"))
        .where(runs.c.system == system, runs.c.finished_at >= now - _DAY, runs.c.finished_at < now)
        .group_by(runs.c.status)
    )
    with store.database.read() as connection:
        return Counter({row.status: row.number for row in connection.execute(query)})


def _slots(store: Store, system: str, now: datetime) -> int:
    query = select(func.count()).where(
        slots.c.system == system,
        slots.c.finished_at >= now - _DAY,
        slots.c.finished_at < now,
        slots.c.state == SlotState.MISSED,
    )
    with store.database.read() as connection:
        return int(connection.execute(query).scalar_one())


def _ran(ran: Counter[str]) -> str:
    if not ran:
        return "Nothing ran in the last 24 hours."
    others = ", ".join(f"{number} {status}" for status, number in sorted(ran.items()) if status != "ok")
    count = sum(ran.values())
    head = f"{count} run{'s' if count > 1 else ''} in the last 24 hours: {ran['ok']} ok"
    return f"{head}, {others}." if others else f"{head}."


def _open(counts: Mapping[Status, int], wrong: list[SpanRow]) -> list[str]:
    if not sum(counts.values()):
        return ["No finding is open."]
    said = ", ".join(
        f"{counts[status]} {status}"
        for status in (Status.CRIT, Status.WARN, Status.UNKNOWN)
        if counts.get(status)
    )
    lines = [f"Open findings: {said}.", *texts.findings(wrong, _MOST)]
    left = sum(counts.values()) - len(wrong)
    return [*lines, f"- and {left} more"] if left > 0 else lines
