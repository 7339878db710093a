"""Everything together: look what has happened, store what is to be said, say it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from courtkeeper.calendar.load import Loaded
from courtkeeper.findings import CourtkeeperError
from courtkeeper.notify import digest, outbox, texts
from courtkeeper.notify import load as config
from courtkeeper.notify.deliver import deliver, ping
from courtkeeper.notify.model import Channel, Event, Notifications, Ping
from courtkeeper.notify.notices import Notices, Outcome, Standing
from courtkeeper.notify.outbox import Message, MessageRow, Outbox
from courtkeeper.runner.secrets import load_secrets
from courtkeeper.store.store import Store

_AT_ONCE = 4
Deliver = Callable[[Channel | Ping, MessageRow, Mapping[str, Any]], None]


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A system's channels and their addresses, as they are now."""

    wanted: Notifications
    secrets: Mapping[str, Any]


def setup(root: Path, inventory: Path) -> Setup:
    """Read channels and secrets. Raises ConfigurationError."""
    wanted = config.load(inventory, root)
    secrets = load_secrets(root, inventory, None) if wanted.names else {}
    return Setup(wanted=wanted, secrets=secrets)


class Notifier:
    """Tells people of one system. Any number of them may work on one store."""

    def __init__(
        self,
        system: str,
        *,
        store: Store,
        read: Callable[[], Setup],
        calendar: Callable[[], Loaded],
        clock: Callable[[], datetime],
        say: Callable[[str], None],
        send: Deliver = deliver,
    ) -> None:
        """`read` and `calendar` return what is configured now; `say` takes sentences for a person."""
        self._system = system
        self._store = store
        self._read = read
        self._calendar = calendar
        self._clock = clock
        self._say = say
        self._send = send
        self._notices = Notices(store.database, system)
        self._outbox = Outbox(store.database, system)
        self._alive: dict[str, datetime] = {}
        self._named: dict[str, list[str]] = {}
        self._complaint = ""

    def serve(self, stop: threading.Event, *, every_s: float = 5.0) -> None:
        """Tick until `stop` is set. What cannot be read or stored is said once, and tried again."""
        while not stop.is_set():
            try:
                self.tick()
            except CourtkeeperError as error:
                if str(error) != self._complaint:
                    self._say(f"Notifications: {error}")
                self._complaint = str(error)
            else:
                self._complaint = ""
            stop.wait(every_s)

    def tick(self) -> int:
        """Do everything once; return how many messages were sent.

        Raises ConfigurationError where the configuration cannot be used, CourtkeeperError where the store
        cannot.
        """
        now = self._clock()
        self._notices.begin(now)
        found = self._read()
        self.collect(found, now)
        self._still_alive(found, now)
        return self.send(found)

    # What is news

    def collect(self, found: Setup, now: datetime) -> int:
        """Store what is to be said; return how many messages that is."""
        wanted = found.wanted
        told = self._whom(wanted)
        return self._notices.collect(
            now,
            lambda outcome, before: self._tell(wanted, told.get(outcome.job, []), outcome, before),
            lambda outcomes: self._tell_missed(wanted, told, outcomes),
            starts=bool(wanted.pings),
        ) + self._digests(wanted, now)

    def _whom(self, wanted: Notifications) -> dict[str, list[str]]:
        """Return by job the channels that hear of it; of one whose entry is broken, all that any names."""
        calendar = self._calendar()
        if calendar.jobs or calendar.broken or not calendar.problems:
            self._named = {job.name: job.notify or [] for job in calendar.jobs}
            everybody = sorted({name for names in self._named.values() for name in names})
            self._named |= dict.fromkeys(calendar.broken, everybody)
        # Else nothing of the file can be read: what it said before holds, as for the scheduler.
        return {job: [name for name in names if wanted.find(name)] for job, names in self._named.items()}

    def _tell(
        self, wanted: Notifications, names: Sequence[str], outcome: Outcome, before: Standing | None
    ) -> list[Message]:
        messages = [
            _ping(each.name, self._system, outcome)
            for name in names
            if isinstance(each := wanted.find(name), Ping) and each.every_minutes is None
        ]
        if outcome.bad is None:
            return messages
        was_bad = before is not None and before.bad
        if outcome.bad == was_bad:
            return messages
        event = Event.FAILURE if outcome.bad else Event.RECOVERY
        channels = [
            each.name
            for name in names
            if isinstance(each := wanted.find(name), Channel) and event in each.events
        ]
        if not channels:
            return messages
        if before is None or outcome.bad:
            wrong = self._store.queries.open_findings(system=self._system, job=outcome.job, limit=6).rows
            title, body = texts.failure(self._system, outcome, wrong, wanted.link)
        else:
            title, body = texts.recovery(self._system, outcome, before, wanted.link)
        key = f"{event}-{outcome.key}"
        return messages + [
            Message(channel=name, event=event, key=key, title=title, body=body) for name in channels
        ]

    def _tell_missed(
        self, wanted: Notifications, told: Mapping[str, Sequence[str]], outcomes: Sequence[Outcome]
    ) -> list[Message]:
        messages = []
        for each in wanted.channels:
            mine = [outcome for outcome in outcomes if each.name in told.get(outcome.job, ())]
            if mine and Event.MISSED in each.events:
                title, body = texts.missed(self._system, mine, wanted.link)
                key = f"{Event.MISSED}-{mine[0].key}"
                messages.append(
                    Message(channel=each.name, event=Event.MISSED, key=key, title=title, body=body)
                )
        return messages

    def _digests(self, wanted: Notifications, now: datetime) -> int:
        zone = ZoneInfo(wanted.time_zone)
        stored = 0
        for channel in wanted.channels:
            day = digest.due(self._store, self._system, channel, zone, now)
            if day is None:
                continue
            standings = self._notices.standings()
            text = digest.message(
                self._store, self._system, channel, day, now, standings=standings, link=wanted.link
            )
            with self._store.database.write() as connection:
                stored += outbox.put(self._store.database, connection, self._system, [text], now)
        return stored

    # Saying it

    def send(self, found: Setup) -> int:
        """Send what is due; return how much was taken. Each channel in order, several channels at once."""
        taken = self._outbox.take(self._clock())
        lanes: dict[str, list[MessageRow]] = {}
        for message in taken:
            lanes.setdefault(message.channel, []).append(message)
        if not lanes:
            return 0
        with ThreadPoolExecutor(min(_AT_ONCE, len(lanes)), "courtkeeper-notify") as pool:
            return sum(pool.map(lambda lane: self._lane(found, lane), lanes.values()))

    def _lane(self, found: Setup, messages: Sequence[MessageRow]) -> int:
        """Send one channel's messages. After one that was not taken the others wait as well."""
        done, trouble = 0, ""
        until = self._clock() + outbox.LEASE / 2
        for message in messages:
            if self._clock() > until:
                self._outbox.release(message.id)
                continue
            to = found.wanted.find(message.channel)
            if to is None:
                why = "there is no such channel any more"
                self._outbox.give_up(message.id, self._clock(), why)
                continue
            if not trouble:
                trouble = self._attempt(to, message, found.secrets)
            if not trouble:
                self._outbox.sent(message.id, self._clock())
                done += 1
            elif self._outbox.failed(message, self._clock(), trouble) is None:
                self._say(f"{message.title!r} was not sent to {message.channel}: {trouble}")
        return done

    def _attempt(self, to: Channel | Ping, message: MessageRow, secrets: Mapping[str, Any]) -> str:
        try:
            self._send(to, message, secrets)
        except CourtkeeperError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - apprise's plugins are many; one must not stop the others
            return f"{to.name}: {type(error).__name__}"  # not its text, which may hold the address
        return ""

    def _still_alive(self, found: Setup, now: datetime) -> None:
        """Ping for the scheduler itself. Not by the outbox: late, such a ping would be a lie."""
        for each in found.wanted.pings:
            if each.every_minutes is None:
                continue
            last = self._alive.get(each.name)
            if last is not None and now - last < timedelta(minutes=each.every_minutes):
                continue
            self._alive[each.name] = now
            message = made_message(self._system, each.name, now, Event.ALIVE)
            try:
                ping(each, config.address(each, found.secrets), message)
            except CourtkeeperError as error:
                self._say(f"Notifications: {error}")


def _ping(channel: str, system: str, outcome: Outcome) -> Message:
    event = Event.START if outcome.bad is None else Event.FAILURE if outcome.bad else Event.SUCCESS
    return Message(
        channel=channel,
        event=event,
        key=f"{event}-{outcome.key}",
        title=f"[{system}] {outcome.job}: {event}",
        body=texts.cut(outcome.reason),
    )


def made_message(system: str, channel: str, now: datetime, event: Event = Event.TEST) -> MessageRow:
    """Return a message that is in no outbox: to try a channel, or to say that we live."""
    return MessageRow(
        id=0,
        system=system,
        channel=channel,
        key=f"{event}-{now.isoformat()}",
        event=event,
        title=f"[{system}] Courtkeeper is alive"
        if event is Event.ALIVE
        else f"[{system}] a test of Courtkeeper",
        body="" if event is Event.ALIVE else f"The channel {channel} works: you read this.",
        created_at=now,
        not_before=now,
        attempts=0,
        state="",
        ended_at=None,
        error="",
    )
