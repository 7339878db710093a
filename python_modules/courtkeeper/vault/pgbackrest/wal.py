"""Is the write-ahead log whole? The archive's listing against what backups and the server's position need.

Neither `check` nor `verify` asks this: a segment that vanished after the last backup is missed by nobody
until a recovery ends before it, comes up, and has lost what was committed later. Pure: it asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from courtkeeper.vault.pgbackrest.command import PgbackrestError

SEGMENT_BYTES = 16 << 20
_NAME = re.compile(r"(?:^|/)([0-9A-F]{24})-[0-9a-f]{40}(?:\.\w+)?$")
_HISTORY = re.compile(r"(?:^|/)([0-9A-F]{8})\.history(?:\.\w+)?$")
_SWITCH = re.compile(r"^(\d+)\s+([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})\b")
_SMALLEST, _LARGEST = 1 << 20, 1 << 30
# No path through timelines is longer than this; a listing that claims so is not believed.
_MOST_SEGMENTS = 20_000_000


class Place(msgspec.Struct, frozen=True, order=True):
    """A segment: its timeline, and how many segments come before it."""

    timeline: int
    number: int

    def name(self, segment_bytes: int) -> str:
        """Return the segment's file name."""
        log, low = divmod(self.number, _by_log(segment_bytes))
        return f"{self.timeline:08X}{log:08X}{low:08X}"


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: segments with when they came, and the timelines that have a history file."""

    segments: dict[str, datetime]
    histories: frozenset[int] = frozenset()


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Segments in a row that are missing. `before_at`: when the one before them was archived."""

    first: str
    last: str
    count: int
    before_at: datetime | None = None

    @property
    def text(self) -> str:
        """`000000010000000000000007`, or from which to which."""
        return self.first if self.count == 1 else f"{self.first} to {self.last} ({self.count} segments)"


# Which timeline was left where: (timeline, the number of the first segment that is not its own).
History = Sequence[tuple[int, int]]


def place_of(segment: str, segment_bytes: int) -> Place:
    """Return where a segment is. Raises PgbackrestError where its name cannot be one of that size."""
    try:
        timeline, log, low = (int(segment[at : at + 8], 16) for at in (0, 8, 16))
    except ValueError:
        raise PgbackrestError(f"{segment[:40]!r} is no segment of write-ahead log") from None
    if len(segment) != 24 or low >= _by_log(segment_bytes):
        raise PgbackrestError(f"{segment[:40]!r} is no segment of {segment_bytes >> 20} MiB")
    return Place(timeline, log * _by_log(segment_bytes) + low)


def listed(text: str) -> Listing:
    """Return what `repo-ls --recurse --output=json` of one archive says. Raises PgbackrestError."""
    try:
        entries = msgspec.json.decode(text, type=dict[str, dict[str, object]])
        segments: dict[str, datetime] = {}
        histories: set[int] = set()
        for name, entry in entries.items():
            if match := _NAME.search(name):
                at = entry.get("time")
                segments[match[1]] = datetime.fromtimestamp(at if isinstance(at, int) else 0, UTC)
            elif match := _HISTORY.search(name):
                histories.add(int(match[1], 16))
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise PgbackrestError(f"pgbackrest repo-ls says what cannot be read: {str(error)[:200]}") from error
    return Listing(segments=segments, histories=frozenset(histories))


def history(text: str, segment_bytes: int) -> History:
    """Return what a timeline's history file says, the oldest first. Raises PgbackrestError."""
    found = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SWITCH.match(line.strip())
        if not match or len(match[1]) > 10:
            raise PgbackrestError(f"a history of timelines says what cannot be read: {line[:80]!r}")
        position = (int(match[2], 16) << 32) + int(match[3], 16)
        found.append((int(match[1]), position // segment_bytes))
    return found


def between(start: Place, stop: Place, path: History) -> Iterator[Place]:
    """Give each segment from `start` to `stop`, both of them, over the timelines that lead to `stop`.

    The segment in which a timeline was left belongs to the next one, which begins with a copy of it. Where
    `start` is on none of them - a branch that was given up - there is no way, and nothing is given.
    """
    if stop.number - start.number > _MOST_SEGMENTS:
        raise PgbackrestError("the archive's last segment is too far from the first to be believed")
    steps = [*path, (stop.timeline, stop.number + 1)]
    timelines = [timeline for timeline, _ in steps]
    if start.timeline not in timelines:
        return
    number = start.number
    for timeline, end in steps[timelines.index(start.timeline) :]:
        yield from (Place(timeline, each) for each in range(number, end))
        number = max(number, end)


def gaps(
    start: str,
    stop: Place,
    listing: Listing,
    *,
    path: History = (),
    waiting: Collection[str] = (),
    segment_bytes: int = SEGMENT_BYTES,
) -> list[Gap]:
    """Return what is missing from the segment `start` to `stop`; `waiting` are not archived yet."""
    found: list[Gap] = []
    run: list[str] = []
    before = ""
    for place in between(place_of(start, segment_bytes), stop, path):
        name = place.name(segment_bytes)
        if name in listing.segments or name in waiting:
            if run:
                found.append(_gap(run, before, listing.segments))
                run = []
            before = name
        else:
            run.append(name)
    return [*found, _gap(run, before, listing.segments)] if run else found


def newest(listing: Listing, segment_bytes: int, timeline: int = 0) -> Place | None:
    """Return the last segment of an archive, of its last timeline unless told which."""
    places = (place_of(name, segment_bytes) for name in listing.segments)
    return max((place for place in places if not timeline or place.timeline == timeline), default=None)


def _gap(run: Sequence[str], before: str, segments: Mapping[str, datetime]) -> Gap:
    return Gap(first=run[0], last=run[-1], count=len(run), before_at=segments.get(before))


def _by_log(segment_bytes: int) -> int:
    if not _SMALLEST <= segment_bytes <= _LARGEST or segment_bytes & (segment_bytes - 1):
        raise PgbackrestError(f"{segment_bytes} bytes is no size of a segment of write-ahead log")
    return (1 << 32) // segment_bytes
