"""What all pages share: the store, the systems and their calendars, the clock."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from courtkeeper.calendar import plan
from courtkeeper.calendar.load import Loaded
from courtkeeper.scheduler import forecast
from courtkeeper.scheduler.executor import utc_now
from courtkeeper.scheduler.forecast import Forecast
from courtkeeper.scheduler.service import CalendarFile
from courtkeeper.store.rows import RunRow
from courtkeeper.store.store import Store
from courtkeeper.web.undoing import Undoing

_MONTHS_KEPT = 48
_KEPT = timedelta(seconds=30)


class Calendars:
    """The calendars of the systems, read again when a file beside them changes."""

    def __init__(self, root: Path, inventories: Mapping[str, Path]) -> None:
        """`inventories` are directories by the system's name."""
        self.root = root
        self.inventories = dict(inventories)
        self._files = {system: CalendarFile(path, root) for system, path in inventories.items()}
        self._lock = threading.Lock()
        self._months: OrderedDict[tuple[int, str, datetime], tuple[Loaded, list[plan.Slot]]] = OrderedDict()

    @property
    def systems(self) -> list[str]:
        """The systems' names, sorted."""
        return sorted(self._files)

    def loaded(self, system: str) -> Loaded | None:
        """Return a system's calendar as it is now; None for a system that we do not keep."""
        with self._lock:
            return self._files[system]() if system in self._files else None

    def coming(self, system: str, start: datetime, end: datetime) -> list[plan.Slot]:
        """Return the slots of a system's calendar from `start` to before `end`, in order.

        Whole months are worked out and kept, because a calendar's page asks for the same one again and again.
        """
        loaded = self.loaded(system)
        if loaded is None:
            return []
        found: list[plan.Slot] = []
        first = start.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        while first < end:
            following = (first + timedelta(days=32)).replace(day=1)
            month = self._month(loaded, system, first, following)
            found += [slot for slot in month if start <= slot.scheduled_for < end]
            first = following
        return found

    def _month(self, loaded: Loaded, system: str, first: datetime, following: datetime) -> list[plan.Slot]:
        key = (id(loaded), system, first)
        with self._lock:
            if key in self._months:
                self._months.move_to_end(key)
                return self._months[key][1]
        slots = list(plan.slots(loaded, first, following))
        with self._lock:
            # The calendar is kept beside its slots, so that no other one can get its id meanwhile.
            self._months[key] = loaded, slots
            while len(self._months) > _MONTHS_KEPT:
                self._months.popitem(last=False)
        return slots


@dataclass(kw_only=True)
class Site:
    """What pages are made from. `clock` gives the time in UTC."""

    store: Store
    calendars: Calendars
    clock: Callable[[], datetime] = utc_now
    undoing: Undoing = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _jobs: tuple[datetime, list[tuple[str, str]]] | None = None
    _forecasts: dict[str, tuple[datetime, Loaded, dict[str, Forecast | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin with nothing that is being taken back."""
        self.undoing = Undoing(self.store, self.calendars.root, self.clock)

    def jobs(self) -> list[tuple[str, str]]:
        """Return every (system, job) that runs or ran; new ones of the store are seen half a minute later."""
        now = self.clock()
        with self._lock:
            if self._jobs is None or _is_old(self._jobs[0], now):
                self._jobs = now, self.store.overview.jobs()
            known = set(self._jobs[1])
        for system in self.calendars.systems:
            if loaded := self.calendars.loaded(system):
                known |= {(system, job.name) for job in loaded.jobs}
        return sorted(known)

    def forecasts(self, system: str, loaded: Loaded) -> dict[str, Forecast | None]:
        """Return how long the jobs of a system take; a run that ended is seen half a minute later."""
        now = self.clock()
        with self._lock:
            known = self._forecasts.get(system)
        if known is None or known[1] is not loaded or _is_old(known[0], now):
            known = now, loaded, forecast.of_system(self.store, system, loaded)
            with self._lock:
                self._forecasts[system] = known
        return known[2]

    def last_runs(self) -> list[RunRow]:
        """Return the last run of every job."""
        return self.store.overview.last_runs(self.jobs())


def _is_old(then: datetime, now: datetime) -> bool:
    return abs(now - then) > _KEPT
