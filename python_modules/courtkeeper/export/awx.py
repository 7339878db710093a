"""AWX: schedules as configuration-as-code (`controller_schedules` of infra.aap_configuration).

`refusal` says offline what AWX's own validator would say of a rule (awx/schedule_cases.yml has its cases).
AWX reads rules with dateutil: a time that does not exist is left out, one that comes twice is the first. It
makes up for everything missed, and knows no window, no blackout and nothing that must have passed before.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from courtkeeper.calendar.model import Job
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.export.clocks import Clock, Missing, demand_same
from courtkeeper.export.command import Place
from courtkeeper.export.recurring import recurring

NAME = "AWX"
CARRIES = {"all"}
CLOCK = Clock(NAME, Missing.SKIPPED)
_MOST_COUNT = 999
_LINE = re.compile(r"(?:^|[ \n])(DTSTART|RRULE|EXRULE|EXDATE|RDATE)(?=[:;])")


def compiled(schedule: Schedule, now: datetime) -> list[str]:
    """Return one rule in the form AWX takes. Raises ConfigurationError."""
    first, rule = recurring(schedule, now)
    demand_same(schedule, CLOCK, now)
    zone = schedule.zone.key
    start = (
        f"DTSTART:{first:%Y%m%dT%H%M%SZ}" if zone == "UTC" else f"DTSTART;TZID={zone}:{first:%Y%m%dT%H%M%S}"
    )
    # INTERVAL must stand in every rule.
    rest = str(rule).replace(f"FREQ={rule.freq}", f"FREQ={rule.freq};INTERVAL={rule.interval}", 1)
    if rule.interval > 1:
        rest = str(rule)
    return [f"{start} RRULE:{rest}"]


def entry(job: Job, schedule: Schedule, place: Place, now: datetime) -> dict[str, Any]:
    """Return the schedule of a job, whose job template has the job's name."""
    extra: dict[str, Any] = {"limit": job.limit} if job.limit else {}
    extra |= {"job_type": "check"} if job.check else {}
    extra |= {"extra_data": dict(job.extra_vars)} if job.extra_vars else {}
    return {
        "name": f"{place.system} {job.name}",
        "description": job.description,
        "unified_job_template": job.name,
        "rrule": compiled(schedule, now)[0],
        "enabled": job.enabled,
        **extra,
    }


def refusal(text: str) -> str:
    """Return why AWX would refuse a schedule's rule; empty where it takes it.

    As observed on AWX 24.6.1. One thing more is refused: numbered days beside plain ones (`MO,2TU`), which
    AWX takes and then never runs.
    """
    names = _LINE.findall(text)
    starts = re.findall(r"DTSTART(;TZID=[^:\s]*)?:(\d{8}T\d{6})(Z?)", text)
    rules = [dict(_parts(rule)) for rule in re.findall(r"(?:EX|R)RULE:(\S+)", text)]
    for wrong, sentence in (
        (names.count("DTSTART") != 1 or len(starts) != 1, "it wants exactly one DTSTART, with a time"),
        (starts and not starts[0][0] and not starts[0][2], "DTSTART must have Z or TZID"),
        (starts and starts[0][0] and starts[0][2], "DTSTART has both TZID and Z"),
        (starts and starts[0][0] and not _zone(starts[0][0].partition("=")[2]), "the TZID is not known"),
        ("RRULE" not in names, "it has no RRULE"),
        ("RDATE" in names, "RDATE is not taken"),
        (re.search(r"EXDATE:", text), "EXDATE without TZID is not taken"),
        *(case for rule in rules for case in _rule_cases(rule)),
    ):
        if wrong:
            return sentence
    return ""


def _rule_cases(rule: dict[str, str]) -> list[tuple[object, str]]:
    count = rule.get("COUNT", "0")
    days = rule.get("BYDAY", "").split(",")
    # A single `-1FR` it takes; `2MO` it refuses, and `MO,2TU` it takes and never runs.
    numbered = [day for day in days if re.match(r"[+-]?\d", day)]
    return [
        ("FREQ" not in rule, "FREQ is missing"),
        ("INTERVAL" not in rule, "INTERVAL must stand in every rule"),
        (rule.get("FREQ") == "SECONDLY", "SECONDLY is not taken"),
        (
            any(day[0] != "-" for day in numbered) or (numbered and len(days) > 1),
            "numbered days: say BYSETPOS",
        ),
        (any(name in rule for name in ("BYYEARDAY", "BYWEEKNO")), "BYYEARDAY and BYWEEKNO are not taken"),
        ("COUNT" in rule and "UNTIL" in rule, "COUNT and UNTIL together are not taken"),
        (not count.isdigit() or int(count) > _MOST_COUNT, f"COUNT must not be over {_MOST_COUNT}"),
    ]


def _parts(rule: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (part.partition("=") for part in rule.upper().split(";"))]


def _zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
