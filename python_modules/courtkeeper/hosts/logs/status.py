"""logrotate's status file: when each log was rotated last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from courtkeeper.findings import CourtkeeperError

HEAD = re.compile(r"logrotate state -- version [12]\s*\Z")
ENTRY = re.compile(
    r'"((?:[^"\\]|\\.)*)" (\d{1,4})-(\d{1,2})-(\d{1,2})(?:-(\d{1,2}):(\d{1,2}):(\d{1,2}))?\s*\Z'
)
MOST_CHARACTERS = 2**24


class StatusError(CourtkeeperError):
    """The status file is damaged; the message says where."""


def parse(text: str) -> dict[str, datetime]:
    """Return when each path was rotated last, in the host's local time (naive, as it is written).

    Raises StatusError for a file without its first line or with a line that is no entry: logrotate then
    stops at this line and rotates nothing.
    """
    lines = text[:MOST_CHARACTERS].split("\n")
    if not HEAD.match(lines[0]):
        raise StatusError("the status file of logrotate does not begin with its version.")
    found: dict[str, datetime] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        entry = ENTRY.match(line)
        when = _time(entry.groups()[1:]) if entry else None
        if entry is None or when is None:
            raise StatusError(f"the status file of logrotate is damaged in line {number}.")
        found[re.sub(r"\\(.)", r"\1", entry[1])] = when
    return found


def _time(parts: Sequence[str | None]) -> datetime | None:
    """Return the time from year to second; None if there is no such time."""
    year, month, day, hour, minute, second = (int(part or 0) for part in parts)
    try:
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - written in local time
    except ValueError:
        return None
