"""Changing one node: watch, record the way back, set all at once, watch again, keep or take back."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec

from courtkeeper.findings import CourtkeeperError
from courtkeeper.redis.tuning import gate
from courtkeeper.redis.tuning.gate import Measure, Reading
from courtkeeper.redis.tuning.journal import Entry, Journal, NotForgottenError
from courtkeeper.redis.tuning.node import Node
from courtkeeper.redis.tuning.normalise import same
from courtkeeper.redis.tuning.plan import Change, memory_problem
from courtkeeper.redis.tuning.settings import TuningSettings

POLL_S = 1.0
Trace = Callable[[str], None]


def _untold(_step: str) -> None:
    """Nobody is told of a step."""


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What a test puts in place of the real thing: the clock, and who is told of each step."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    trace: Trace = _untold
    tell: Callable[[str], None] = lambda _text: None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change. `same` is a server that gives the old values back though it took the new."""

    kept: bool
    same: bool = False
    rewritten: bool = False
    measures: tuple[Measure, ...] = ()
    left: tuple[str, ...] = ()


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What a way back did: the names set back, and those that somebody else has set meanwhile."""

    back: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    rewritten: bool = False


def change(node: Node, changes: Sequence[Change], told: TuningSettings, tools: Tools) -> Outcome:
    """Make changes on a node, and keep them if it is none the worse for it.

    Raises CourtkeeperError with the old values back, or with the journal's entry left where the server cannot
    be reached: the next run takes that back first.
    """
    if told.allow_eviction and memory_problem(tuple(changes), node.used_memory(), node.where):
        told = msgspec.structs.replace(told, gate=msgspec.structs.replace(told.gate, evictions_s=math.inf))
    tools.tell(f"watching {node.where} before the change")
    before = _watch(node, told, tools)
    now = node.config(c.name for c in changes)
    if moved := [c.name for c in changes if now.get(c.name) != c.before]:
        raise CourtkeeperError(
            f"{', '.join(moved)} of {node.where} was set by somebody else meanwhile: nothing was changed, "
            "run it again"
        )
    journal = Journal(told.state_directory)
    entry = Entry(
        where=node.where,
        run_id=node.server.run_id,
        step="trying",
        began=tools.now().isoformat(timespec="seconds"),
        persist=told.persist,
        changes=tuple(changes),
        rewrites=node.rewrites(),
    )
    journal.write(entry)
    tools.trace("recorded")
    try:
        with _terminable():
            return _try(node, entry, before, told, tools)
    except BaseException as error:
        _rescue(node, entry, journal, error)
        raise


def undo(node: Node, entry: Entry, journal: Journal, trace: Trace = _untold) -> Undone:
    """Set the old values again, except what somebody else has set meanwhile; forget the entry.

    A file that was written while the values were on trial (as Sentinel does) is written again.
    """
    now = node.config(c.name for c in entry.changes)
    back = {c.name: c.before for c in entry.changes if same(c.name, now.get(c.name, ""), c.after)}
    back = {name: value for name, value in back.items() if now[name] != value}
    left = [c.name for c in entry.changes if c.name not in back and now.get(c.name) != c.before]
    if back:
        node.set(back)
        trace("set back")
    rewritten = bool(back and node.server.config_file and node.rewrites() != entry.rewrites)
    if rewritten:
        node.ask("CONFIG", "REWRITE")
    journal.forget(entry.where)
    return Undone(back=tuple(sorted(back)), left=tuple(sorted(left)), rewritten=rewritten)


def keep(node: Node, entry: Entry, journal: Journal, trace: Trace = _untold) -> bool:
    """Write the file, where it is to be, and forget the entry; return whether it was written."""
    if entry.persist:
        node.ask("CONFIG", "REWRITE")
        trace("rewritten")
    journal.forget(entry.where)
    return entry.persist


def _try(node: Node, entry: Entry, before: list[Reading], told: TuningSettings, tools: Tools) -> Outcome:
    journal = Journal(told.state_directory)
    node.set({c.name: c.after for c in entry.changes})
    tools.trace("set")
    now = node.config(c.name for c in entry.changes)
    if all(now.get(c.name) == c.before for c in entry.changes):
        journal.forget(entry.where)
        return Outcome(kept=True, same=True)
    tools.tell(f"watching {node.where} after the change")
    after, early = _watch_after(node, before, told, tools)
    measures = tuple(early or gate.judge(before, after, told.gate))
    tools.trace("judged")
    if gate.worse(measures):
        undone = undo(node, entry, journal, tools.trace)
        tools.trace("taken back")
        return Outcome(kept=False, measures=measures, left=undone.left, rewritten=undone.rewritten)
    kept = msgspec.structs.replace(entry, step="keeping")
    journal.write(kept)
    tools.trace("keeping")
    written = keep(node, kept, journal, tools.trace)
    tools.trace("kept")
    return Outcome(kept=True, measures=measures, rewritten=written)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, as a driver sends it to a run that is cancelled, be an error that is cleaned up after."""

    def leave(_number: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _rescue(node: Node, entry: Entry, journal: Journal, error: BaseException) -> None:
    """Take the change back after an error; where that cannot be, say that the next run will."""
    try:
        try:
            undone = undo(node, entry, journal)
        except NotForgottenError:
            raise
        except CourtkeeperError:  # the connection may be what failed
            node.again()
            if node.server.run_id != entry.run_id:
                journal.forget(entry.where)
                return
            undone = undo(node, entry, journal)
    except NotForgottenError as second:
        raise CourtkeeperError(f"{error}; the old values are back on {entry.where}, but {second}") from error
    except CourtkeeperError as second:
        raise CourtkeeperError(
            f"{error}; the old values of {', '.join(c.name for c in entry.changes)} could not be set again "
            f"({second}): they are kept in {journal.directory}, and the next run sets them first"
        ) from error
    if isinstance(error, CourtkeeperError):
        what = "the old values are back" if undone.back else "nothing was changed"
        error.args = (f"{error}; {what} on {entry.where}",)


def _watch(node: Node, told: TuningSettings, tools: Tools) -> list[Reading]:
    """Return readings at the beginning, in the middle and at the end of the time."""
    readings = [_reading(node, tools)]
    for _half in range(2):
        tools.sleep(told.gate.observe_s / 2)
        readings.append(_reading(node, tools))
    return readings


def _watch_after(
    node: Node, before: list[Reading], told: TuningSettings, tools: Tools
) -> tuple[list[Reading], list[Measure]]:
    """Return three readings, or, as soon as it cannot become well any more, what is worse."""
    readings: list[Reading] = []
    for seconds in (told.gate.settle_s, told.gate.observe_s / 2, told.gate.observe_s / 2):
        end = tools.clock() + seconds
        while (left := end - tools.clock()) > 0:
            tools.sleep(min(left, POLL_S))
            if early := gate.worse(gate.already(before, _reading(node, tools), told.gate)):
                return [], early
        readings.append(_reading(node, tools))
    return readings, []


def _reading(node: Node, tools: Tools) -> Reading:
    info, latencies = node.load()
    return gate.reading(info, latencies, tools.clock())
