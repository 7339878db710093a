"""One pass over the keys of a server in small batches: what is to go goes, what has no end gets one.

SCAN also makes the server free the keys that it has kept past their time. Every command names one key, so
that a cluster's node serves its own slots, and whatever was done stays done when the pass is broken off.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
from redis import exceptions as errors

from courtkeeper.redis.parse import whole
from courtkeeper.redis.server import Client, Command, replies
from courtkeeper.redis.upkeep.globs import Glob, first_match
from courtkeeper.redis.upkeep.pace import NoWritesError, Pace, busy
from courtkeeper.redis.upkeep.settings import Declared

# EXPIRE … NX, which leaves alone what got a time to live meanwhile.
EXPIRE_NX_SINCE = (7, 0, 0)


class Seen(msgspec.Struct, kw_only=True):
    """What a walk saw and did with the keys of a declared pattern.

    `endless` keys had no time to live, `young` ones were given theirs after the walk's `since`. SCAN may show
    a key twice while the server's table changes its size: what was seen is a little more at most, what was
    done is exact.
    """

    keys: int = 0
    endless: int = 0
    young: int = 0
    removed: int = 0
    limited: int = 0
    elsewhere: int = 0


class Walk(msgspec.Struct, kw_only=True):
    """A pass over the keys, as far as it came: `cursor` is where it goes on, 0 when it is done.

    `interval_s` is how long ago, when it was `begun`, the time began in which a key is `young`.
    """

    patterns: Sequence[Declared]
    remove: frozenset[str] = frozenset()
    limit: frozenset[str] = frozenset()
    never: Sequence[Glob] = ()
    interval_s: float = 0.0
    change: bool = False
    cursor: int = 0
    begun: float = msgspec.field(default_factory=time.monotonic)
    whole: bool = True
    keys: int = 0
    seen: dict[str, Seen] = msgspec.field(default_factory=dict)


def go(walk: Walk, client: Client, pace: Pace, tell: Callable[[str], None] = lambda _text: None) -> None:
    """Walk on to the end; `walk` says how far. Raises PutOffError, where it stops, and redis' errors."""
    walk.whole = walk.whole and walk.cursor == 0
    walk.seen = {declared.pattern: walk.seen.get(declared.pattern, Seen()) for declared in walk.patterns}
    globs = [declared.glob for declared in walk.patterns]
    while True:
        cursor, keys = pace.batch(lambda: _scanned(client, walk.cursor, pace.size))
        walk.keys += len(keys)
        groups: dict[int, list[bytes]] = {}
        for key in keys:
            index = first_match(globs, key)
            # The settings refuse patterns that meet what is protected: this is the second lock.
            if index is not None and not any(glob.matches(key) for glob in walk.never):
                groups.setdefault(index, []).append(key)
        for index, group in groups.items():
            _work(walk, walk.patterns[index], group, client, pace)
        walk.cursor = cursor
        tell(f"{walk.keys:,} keys looked at")
        if not cursor:
            return


def _scanned(client: Client, cursor: int, count: int) -> tuple[int, list[bytes]]:
    reply = _checked(replies(client, [("SCAN", cursor, "COUNT", count)]))[0]
    return int(reply[0]), list(reply[1])


def _work(walk: Walk, declared: Declared, keys: list[bytes], client: Client, pace: Pace) -> None:
    seen = walk.seen[declared.pattern]
    seen.keys += len(keys)
    if declared.pattern in walk.remove:
        if walk.change:
            for _, answer in _each(keys, lambda key: ("UNLINK", key), client, pace):
                seen.removed += answer == 1  # one by one: the next batch may never come
        return
    if not declared.ttl_s:
        return
    endless = []
    for key, answer in _each(keys, lambda key: ("PTTL", key), client, pace):
        if isinstance(answer, errors.ResponseError):
            seen.elsewhere += 1
        elif answer == -1:
            endless.append(key)
        else:
            # A walk may take hours: its keys have grown older by that since the interval was told.
            grown = time.monotonic() - walk.begun
            seen.young += declared.ttl_s - whole(answer) / 1000 - grown < walk.interval_s
    seen.endless += len(endless)
    if walk.change and declared.pattern in walk.limit:
        for _, answer in _each(endless, lambda key: ("EXPIRE", key, declared.ttl_s, "NX"), client, pace):
            seen.limited += answer == 1


def _each(
    keys: list[bytes], command: Callable[[bytes], Command], client: Client, pace: Pace
) -> Iterable[tuple[bytes, Any]]:
    """Send one command for each key, as many together as the pace allows; yield the keys and the answers."""
    left = keys
    while left:
        some, left = left[: pace.size], left[pace.size :]
        commands = [command(key) for key in some]
        answers = pace.batch(partial(_asked, client, commands))
        for key, answer in zip(some, answers, strict=True):
            if isinstance(answer, errors.ResponseError) and busy(answer):
                left.append(key)  # a script kept the server busy: once more, when it answers again
            else:
                yield key, answer


def _asked(client: Client, commands: list[Command]) -> list[Any]:
    return _checked(replies(client, commands), leave_busy=True)


def _checked(answers: list[Any], *, leave_busy: bool = False) -> list[Any]:
    """Return the answers; raise what concerns more than a key: rights, a replica, a disk that is full.

    A key that has moved to another node of the cluster is that node's: its refusal is left in its place.
    """
    for answer in answers:
        if not isinstance(answer, errors.ResponseError) or isinstance(answer, errors.AskError):
            continue
        if str(answer).startswith("MISCONF"):
            raise NoWritesError("the server takes no writes since it could not save its data") from answer
        if not (leave_busy and busy(answer)):
            raise answer
    return answers
