"""Probes of health: asking what a system serves whether it is there, from outside, as its users do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Meta
from sqlalchemy import case, func, select

from courtkeeper.findings import ConfigurationError, CourtkeeperError
from courtkeeper.notify.load import read
from courtkeeper.notify.model import Name
from courtkeeper.store.connection import Database
from courtkeeper.store.notice_tables import probes

KEY = "courtkeeper_probes"
PATH = Path("group_vars", "all", "probes.yml")
_AT_ONCE = 8
_HOUR = timedelta(hours=1)


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to ask whether it is there: http(s)://…, which answers 2xx, or tcp://host:port.

    Instead of a whole address, `file` and `key` (`api.url`) may name where it stands in a JSON file of the
    checkout; `path` is added to it.
    """

    name: Name
    url: str = ""
    file: str = ""
    key: str = ""
    path: str = ""
    every_s: Annotated[int, Meta(ge=5, le=3600)] = 60
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5.0


class Probes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of a system."""

    probes: list[Probe] = []


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a probe: `error` is empty where it answered, after `latency_ms`."""

    name: str
    latency_ms: float
    error: str = ""


def load(inventory: Path, root: Path) -> list[Probe]:
    """Return the probes of an inventory. Raises ConfigurationError with file, line and mend."""
    found = read(inventory / PATH, KEY, Probes, root, _refuse)
    return found.probes if found else []


def _refuse(found: Probes) -> None:
    twice = [name for name, count in Counter(each.name for each in found.probes).items() if count > 1]
    if twice:
        raise ConfigurationError(f"there are two probes {twice[0]}; rename one")
    for probe in found.probes:
        if bool(probe.url) == bool(probe.file and probe.key):
            raise ConfigurationError(f"the probe {probe.name} needs either url, or file and key")
        if probe.url and not _is_address(probe.url):
            raise ConfigurationError(
                f"the probe {probe.name} has no address to ask; write http(s)://… or tcp://host:port, "
                "without a password: it is under git"
            )


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    if parts.username or parts.password or not parts.hostname:
        return False
    return parts.scheme in {"http", "https"} or (parts.scheme == "tcp" and bool(port))


def ask(probe: Probe, root: Path) -> Answer:
    """Ask once. What cannot be asked has not answered: a file that is not there is a system that is down."""
    began = time.perf_counter()
    try:
        where = probe.url or _from_file(probe, root)
        parts = urlsplit(where)
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname or "", parts.port or 0), probe.timeout_s).close()
            error = ""
        else:
            answer = httpx.get(where + probe.path, timeout=probe.timeout_s)
            error = "" if answer.is_success else f"answered {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as failed:
        error = f"does not answer ({type(failed).__name__})"
    return Answer(name=probe.name, latency_ms=(time.perf_counter() - began) * 1000, error=error)


def _from_file(probe: Probe, root: Path) -> str:
    value: object = json.loads((root / probe.file).read_text("utf-8"))
    for key in probe.key.split("."):
        if not isinstance(value, dict) or key not in value:
            raise ValueError(f"no {key}")
        value = value[key]
    if not isinstance(value, str) or not _is_address(value):
        raise ValueError("no address")
    return value


def keep(database: Database, system: str, answers: Sequence[Answer], now: datetime) -> None:
    """Add what came of probes to the hour of `now`."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = [
        {
            "system": system,
            "name": each.name,
            "hour": hour,
            "asked": 1,
            "answered": int(not each.error),
            "latency_ms": 0.0 if each.error else each.latency_ms,
            "slowest_ms": 0.0 if each.error else each.latency_ms,
            "failed_at": now if each.error else None,
            "error": each.error,
        }
        for each in answers
    ]
    if not rows:
        return
    insert = database.insert(probes).values(rows)
    fresh = insert.excluded
    added = {name: probes.c[name] + fresh[name] for name in ("asked", "answered", "latency_ms")}
    insert = insert.on_conflict_do_update(
        index_elements=[probes.c.system, probes.c.name, probes.c.hour],
        set_={
            **added,
            "slowest_ms": case(
                (fresh.slowest_ms > probes.c.slowest_ms, fresh.slowest_ms), else_=probes.c.slowest_ms
            ),
            "failed_at": func.coalesce(fresh.failed_at, probes.c.failed_at),
            "error": case((fresh.error != "", fresh.error), else_=probes.c.error),
        },
    )
    with database.write() as connection:
        connection.execute(insert)


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """The probes of one thing in one hour; `latency_ms` is the mean of those that answered."""

    name: str
    hour: datetime
    asked: int
    answered: int
    latency_ms: float | None
    slowest_ms: float


def hours(database: Database, system: str, start: datetime, end: datetime) -> list[Hour]:
    """Return the hours from `start` to before `end`, in order."""
    query = (
        select(probes)
        .where(probes.c.system == system, probes.c.hour >= start - _HOUR, probes.c.hour < end)
        .order_by(probes.c.hour, probes.c.name)
    )
    with database.read() as connection:
        return [
            Hour(
                name=row.name,
                hour=row.hour,
                asked=row.asked,
                answered=row.answered,
                latency_ms=row.latency_ms / row.answered if row.answered else None,
                slowest_ms=row.slowest_ms,
            )
            for row in connection.execute(query).all()
        ]


class Prober:
    """Asks what is due, and keeps what came of it. Several may ask: the share stays what it is."""

    def __init__(
        self,
        system: str,
        root: Path,
        *,
        database: Database,
        read: Callable[[], Sequence[Probe]],
        clock: Callable[[], datetime],
        say: Callable[[str], None],
    ) -> None:
        """`read` returns the probes as they are configured now; `say` takes sentences for a person."""
        self._system = system
        self._root = root
        self._database = database
        self._read = read
        self._clock = clock
        self._say = say
        self._last: dict[str, datetime] = {}
        self._complaint = ""

    def tick(self, *, all_of_them: bool = False) -> list[Answer]:
        """Ask what is due (or all), at once, and keep it. Raises CourtkeeperError."""
        now = self._clock()
        due = [each for each in self._read() if all_of_them or self._is_due(each, now)]
        if not due:
            return []
        self._last |= {each.name: now for each in due}
        with ThreadPoolExecutor(min(_AT_ONCE, len(due)), "courtkeeper-probe") as pool:
            answers = list(pool.map(lambda probe: ask(probe, self._root), due))
        keep(self._database, self._system, answers, now)
        return answers

    def serve(self, stop: threading.Event, *, every_s: float = 5.0) -> None:
        """Tick until `stop` is set; what is wrong is said once."""
        while not stop.is_set():
            try:
                self.tick()
            except CourtkeeperError as error:
                if str(error) != self._complaint:
                    self._say(f"Probes: {error}")
                self._complaint = str(error)
            else:
                self._complaint = ""
            stop.wait(every_s)

    def _is_due(self, probe: Probe, now: datetime) -> bool:
        last = self._last.get(probe.name)
        # Also where the clock was set back.
        return last is None or not timedelta(0) <= now - last < timedelta(seconds=probe.every_s)
