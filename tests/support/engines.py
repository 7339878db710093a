"""What other engines make of a schedule, asked of them: systemd itself, and the libraries the others use."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from cronsim import CronSim
from dateutil.rrule import rrulestr
from dateutil.tz import datetime_exists

ITERATIONS = 36
# dateutil knows no changes of clocks from 2038 on; nor does an AWX, which uses it.
LAST = datetime(2037, 1, 1, tzinfo=UTC)


def systemd(specs: list[str], start: datetime, zone: str) -> list[datetime]:
    """The next elapses of a timer with these OnCalendar= values, by systemd-analyze."""
    del zone  # it stands in each of them
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze: install the Debian package systemd")
    found: set[datetime] = set()
    for spec in specs:
        base = f"{start - timedelta(seconds=1):%Y-%m-%d %H:%M:%S} UTC"
        command = ["systemd-analyze", "calendar", f"--iterations={ITERATIONS}", f"--base-time={base}", spec]
        environment = {**os.environ, "TZ": "UTC", "LC_ALL": "C"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{spec}: {done.stderr}"
        lines = re.findall(r"(?:Next elapse|Iter(?:ation|\.) #\d+): \w+ (\S+ \S+) UTC", done.stdout)
        found |= {datetime.fromisoformat(line).replace(tzinfo=UTC) for line in lines}
    return sorted(found)[:ITERATIONS]


def cron(expressions: list[str], start: datetime, zone: str) -> list[datetime]:
    """When Debian's cron runs, by cronsim, which follows it in what clocks do."""

    def one(expression: str) -> Iterator[datetime]:
        yield from CronSim(expression, (start - timedelta(seconds=1)).astimezone(ZoneInfo(zone)))

    return _merged([islice(one(each), ITERATIONS) for each in expressions])


def kubernetes(expressions: list[str], start: datetime, zone: str) -> list[datetime]:
    """When a cron library that goes by the clock on the wall runs: croniter."""

    def one(expression: str) -> Iterator[datetime]:
        local = (start - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
        yield from croniter(expression, local).all_next(datetime)

    return _merged([islice(one(each), ITERATIONS) for each in expressions])


def ics(texts: list[str], start: datetime, zone: str) -> list[datetime]:
    """The instants of RFC 5545: a local time that does not exist is ignored, of a repeated one the first."""
    where = ZoneInfo(zone)
    first, rule = re.fullmatch(r"DTSTART[^:]*:(\w+)\nRRULE:(\S+)", texts[0]).groups()
    naive = rrulestr(rule, dtstart=datetime.strptime(first.rstrip("Z"), "%Y%m%dT%H%M%S"))  # noqa: DTZ007
    after = start.astimezone(where).replace(tzinfo=None) - timedelta(days=1)
    exist = (each.replace(tzinfo=where) for each in naive.xafter(after) if datetime_exists(each, where))
    instants = (each.astimezone(UTC) for each in exist)
    return list(islice((each for each in instants if each >= start), ITERATIONS))


def awx(texts: list[str], start: datetime, zone: str) -> list[datetime]:
    """As AWX computes its next runs: aware datetimes of dateutil, imaginary ones left out."""
    del zone
    rules = rrulestr(texts[0], forceset=True)
    times = rules.xafter(start - timedelta(seconds=1))
    return list(islice((each.astimezone(UTC) for each in times if datetime_exists(each)), ITERATIONS))


def _merged(found: list[Iterator[datetime]]) -> list[datetime]:
    return sorted(each.astimezone(UTC) for one in found for each in one)[:ITERATIONS]
