"""systemd: one timer and one service a job. Needs systemd 247 (Debian 11) or later.

`OnCalendar` takes a time zone, sets of days from either end of a month, and ANDs days of the week with them.
A timer starts nothing for a local time that does not exist, and a repeated one once (measured, 252 and 257).
"""

from __future__ import annotations

from datetime import datetime

from courtkeeper.calendar.model import Job, Misfire
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.export.clocks import Clock, Missing, demand_same
from courtkeeper.export.command import Place, gate, run
from courtkeeper.export.plain import numbers, plain
from courtkeeper.findings import ConfigurationError

NAME = "systemd"
CARRIES = {"window", "blackouts", "after", "concurrency", "skip", "latest"}
CLOCK = Clock(NAME, Missing.SKIPPED)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# To systemd every end but 0 and 255 is a condition that does not hold.
_CONDITION = ["/bin/sh", "-c", '"$@"; code=$?; [ $code -lt 2 ] && exit $code; exit 255', "gate"]
_MOST_FROM_END = 28  # it knows no `~29`: not every month has it


def compiled(schedule: Schedule, now: datetime) -> list[str]:
    """Return the OnCalendar= values that together are the schedule. Raises ConfigurationError."""
    found = plain(schedule, now)
    demand_same(schedule, CLOCK, now)
    weekdays = numbers(found.weekdays, "..")
    for at in range(len(_DAYS)):
        weekdays = weekdays.replace(str(at), _DAYS[at])
    from_start, from_end = found.month_day_numbers()
    if from_end and from_end[-1] > _MOST_FROM_END:
        raise ConfigurationError(
            f"it has no word for day -{from_end[-1]} of a month; use days from the start"
        )
    month = numbers(found.months, "..", 2) or "*"
    days = [f"*-{month}-{numbers(from_start, '..', 2)}"] if from_start else []
    # A range from the end is not taken (Invalid argument), a list is.
    days += [f"*-{month}~{','.join(f'{day:02}' for day in from_end)}"] if from_end else []
    days = days or [f"*-{month}-*"]
    return [
        " ".join(filter(None, [weekdays, day, _time(hours, minutes), schedule.zone.key]))
        for day in days
        for hours, minutes in found.groups()
    ]


def _time(hours: list[int], minutes: list[int]) -> str:
    hour = "*" if len(hours) == 24 else numbers(hours, "..", 2)
    minute = "*" if len(minutes) == 60 else numbers(minutes, "..", 2)
    return f"{hour}:{minute}:00"


def files(job: Job, schedule: Schedule, place: Place, now: datetime) -> dict[str, str]:
    """Return the unit files by name. Raises ConfigurationError where the schedule cannot be said."""
    times = "".join(f"OnCalendar={each}\n" for each in compiled(schedule, now))
    name = f"courtkeeper-{place.system}-{job.name}"
    about = _line(f"Courtkeeper: {job.name} on {place.system}")
    persistent = "true" if job.misfire_policy is Misfire.LATEST else "false"
    timer = (
        f"[Unit]\nDescription={about}\n\n[Timer]\n{times}"
        "# To the second, and not spread over a minute.\nAccuracySec=1s\n"
        f"# Misfire policy: {job.misfire_policy}.\nPersistent={persistent}\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    service = (
        f"[Unit]\nDescription={about}\nWants=network-online.target\nAfter=network-online.target\n\n"
        f"[Service]\nType=oneshot\nWorkingDirectory={_path(place.directory)}\n"
        "# A gate that is closed (1) is no failure; one that is broken (2 and more) is.\n"
        f"ExecCondition={_words([*_CONDITION, *gate(job, place)])}\n"
        f"ExecStart={_words(run(job, place))}\n"
        "# It ends its own children on SIGTERM; what is left then is killed.\n"
        "KillMode=mixed\nTimeoutStopSec=60\n"
    )
    return {f"{name}.timer": timer, f"{name}.service": service}


def _line(text: str) -> str:
    return " ".join(text.split()).replace("%", "%%")


def _path(path: str) -> str:
    if any(ord(letter) < 32 for letter in path):
        raise ConfigurationError("its directory's name holds control characters; move the checkout")
    return path.replace("%", "%%")


def _words(words: list[str]) -> str:
    """Return a command as ExecStart= takes it: quoted, and with nothing that is expanded."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    escaped = escaped.replace("\n", "\\n").replace("\t", "\\t")
    plain_word = word.replace("/", "").replace("_", "").replace("-", "").replace(".", "").replace("=", "")
    return escaped if plain_word.isalnum() and word.isascii() else f'"{escaped}"'
