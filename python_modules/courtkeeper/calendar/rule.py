"""The subset of RRULE (RFC 5545, 3.3.10) in which schedules are written, and why anything else is refused.

There is no DTSTART: the time of day stands in the rule, and the day from which an INTERVAL is counted is the
job's `anchor`. What is left out is what another engine could not say, or what a person would misread.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from enum import StrEnum

from courtkeeper.findings import ConfigurationError

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
EXAMPLE = "FREQ=DAILY;BYHOUR=3;BYMINUTE=30"
MOST_INTERVAL = 999
# In how many parts of the period above it a frequency divides evenly whatever the day: no anchor is needed.
_PERIODS = {"MINUTELY": 24 * 60, "HOURLY": 24}


class Frequency(StrEnum):
    """How often, before the other parts limit it."""

    MINUTELY = "MINUTELY"
    HOURLY = "HOURLY"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A parsed rule. Its lists are sorted and hold nothing twice; an empty one limits nothing.

    `weekdays` counts from Monday, 0. `month_days` and `positions` may be negative: from the end.
    `str(rule)` is its one canonical spelling.
    """

    freq: Frequency
    interval: int = 1
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the rule as RRULE text, parts in the RFC's order, without what has no effect."""
        lists = (
            ("BYMONTH", self.months),
            ("BYMONTHDAY", self.month_days),
            ("BYDAY", tuple(DAYS[day] for day in self.weekdays)),
            ("BYHOUR", self.hours),
            ("BYMINUTE", self.minutes),
            ("BYSETPOS", self.positions),
        )
        parts = [f"FREQ={self.freq}"]
        parts += [f"INTERVAL={self.interval}"] if self.interval > 1 else []
        parts += [f"{name}={','.join(map(str, values))}" for name, values in lists if values]
        return ";".join(parts)

    @property
    def needs_anchor(self) -> bool:
        """Whether the rule means nothing definite without a day to count its interval from."""
        if self.freq in _PERIODS:
            return _PERIODS[self.freq] % self.interval != 0
        return self.interval > 1

    @property
    def times_of_day(self) -> tuple[tuple[int, int], ...]:
        """The (hour, minute) of each day on which it runs; empty for HOURLY and MINUTELY."""
        if self.freq in _PERIODS:
            return ()
        return tuple((hour, minute) for hour in self.hours for minute in self.minutes)


def parse_rule(text: str) -> Rule:
    """Return the rule that `text` says. Raises ConfigurationError: one sentence with the mend."""
    parts = _parts(text)
    freq = _frequency(parts.pop("FREQ", ""))
    rule = Rule(
        freq=freq,
        interval=_interval(parts.pop("INTERVAL", "1")),
        months=_numbers("BYMONTH", parts.pop("BYMONTH", ""), 1, 12),
        month_days=_numbers("BYMONTHDAY", parts.pop("BYMONTHDAY", ""), 1, 31, negative=True),
        weekdays=_weekdays(parts.pop("BYDAY", "")),
        positions=_numbers("BYSETPOS", parts.pop("BYSETPOS", ""), 1, 31, negative=True),
        hours=_numbers("BYHOUR", parts.pop("BYHOUR", ""), 0, 23),
        minutes=_numbers("BYMINUTE", parts.pop("BYMINUTE", "0" if freq != "MINUTELY" else ""), 0, 59),
    )
    _check(rule)
    return rule


_REFUSED = {
    "DTSTART": "leave it out: the time of day is BYHOUR and BYMINUTE, the first day is the job's anchor",
    "COUNT": "leave it out: a calendar has no end; to pause a job say enabled: false",
    "UNTIL": "leave it out: a calendar has no end; to pause a job say enabled: false",
    "BYSECOND": "leave it out: jobs begin at full minutes",
    "BYYEARDAY": "say BYMONTH and BYMONTHDAY",
    "BYWEEKNO": "say FREQ=WEEKLY with an INTERVAL and an anchor, or BYMONTH and BYMONTHDAY",
    "WKST": "leave it out: weeks begin on Monday",
    "EXDATE": "leave it out: exceptions are blackouts",
    "RDATE": "leave it out: say a second job",
    "TZID": "leave it out: the zone is the job's time_zone",
}
_KNOWN = ("FREQ", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "BYHOUR", "BYMINUTE")


def _parts(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if (first := re.split(r"[:=]", part)[0]) in _REFUSED:
            raise ConfigurationError(f"{first} is not taken here: {_REFUSED[first]}")
        if not equals or not value:
            raise ConfigurationError(f"{part[:40]!r} is no part of a rule: write NAME=VALUE, as in {EXAMPLE}")
        if name not in _KNOWN:
            raise ConfigurationError(f"{name[:40]!r} is not known: there are {', '.join(_KNOWN)}")
        if name in parts:
            raise ConfigurationError(f"{name} is said twice: say it once, with commas between its values")
        parts[name] = value
    return parts


def _frequency(text: str) -> Frequency:
    if text == "SECONDLY":
        raise ConfigurationError("FREQ=SECONDLY is not taken here: jobs begin at full minutes")
    try:
        return Frequency(text)
    except ValueError:
        given = f"FREQ={text[:40]} is not known" if text else "FREQ is missing"
        raise ConfigurationError(f"{given}: say one of {', '.join(Frequency)}, as in {EXAMPLE}") from None


def _interval(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MOST_INTERVAL:
        raise ConfigurationError(f"INTERVAL={text[:40]} cannot be: give a number from 1 to {MOST_INTERVAL}")
    return int(text)


def _numbers(name: str, text: str, least: int, most: int, *, negative: bool = False) -> tuple[int, ...]:
    if not text:
        return ()
    found = set()
    for each in text.split(","):
        sign = "[+-]?" if negative else ""
        number = int(each) if re.fullmatch(rf"{sign}[0-9]{{1,2}}", each) else None
        if number is None or not least <= abs(number) <= most:
            below = f", or from -{most} to -{least} for the ones counted from the end" if negative else ""
            raise ConfigurationError(
                f"{name}={each[:40]} cannot be: give numbers from {least} to {most}{below}"
            )
        found.add(number)
    return tuple(sorted(found))


def _weekdays(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    found = set()
    for each in text.split(","):
        if numbered := re.fullmatch(rf"([+-]?[0-9]{{1,2}})({'|'.join(DAYS)})", each):
            position = int(numbered[1])
            raise ConfigurationError(
                f"BYDAY={each} is not taken here: write FREQ=MONTHLY;BYDAY={numbered[2]};BYSETPOS={position}"
            )
        if each not in DAYS:
            raise ConfigurationError(f"BYDAY={each[:40]} cannot be: give days from {', '.join(DAYS)}")
        found.add(DAYS.index(each))
    return tuple(sorted(found))


def _check(rule: Rule) -> None:
    """Raise ConfigurationError where parts are missing, do not go together, or never come."""
    for wrong, sentence in (
        (rule.freq not in _PERIODS and not rule.hours, "BYHOUR is missing: say at which hours, as BYHOUR=3"),
        (
            rule.freq == "MINUTELY" and rule.minutes,
            "BYMINUTE does not go with FREQ=MINUTELY: say FREQ=HOURLY with BYMINUTE, or an INTERVAL",
        ),
        (rule.freq == "WEEKLY" and not rule.weekdays, "BYDAY is missing: say on which days, as BYDAY=SU"),
        (
            rule.freq == "WEEKLY" and rule.month_days,
            "BYMONTHDAY does not go with FREQ=WEEKLY: say FREQ=MONTHLY",
        ),
        (
            rule.freq == "MONTHLY" and not rule.month_days and not rule.weekdays,
            "BYMONTHDAY or BYDAY is missing: say on which days of the month, as BYMONTHDAY=1",
        ),
        (
            rule.freq == "YEARLY" and not (rule.months and rule.month_days),
            "FREQ=YEARLY needs BYMONTH and BYMONTHDAY, as BYMONTH=1;BYMONTHDAY=15; for days of the week say "
            "FREQ=MONTHLY with BYMONTH",
        ),
        (rule.freq == "YEARLY" and rule.weekdays, "BYDAY does not go with FREQ=YEARLY: say FREQ=MONTHLY"),
        (
            rule.positions and rule.freq != "MONTHLY",
            "BYSETPOS goes with FREQ=MONTHLY only: for quarters say FREQ=MONTHLY;BYMONTH=1,4,7,10",
        ),
        (
            rule.positions and len(rule.times_of_day) > 1,
            "BYSETPOS counts times, not days, where there are several a day: say one BYHOUR and one BYMINUTE",
        ),
        (not _comes(rule), "it never comes: no such month has such a day"),
    ):
        if wrong:
            raise ConfigurationError(sentence)


def _comes(rule: Rule) -> bool:
    """Say whether any month has any of the days; 2024 has the longest February."""
    months = rule.months or tuple(range(1, 13))
    days = rule.month_days or (1,)
    return any(abs(day) <= monthrange(2024, month)[1] for month in months for day in days)
