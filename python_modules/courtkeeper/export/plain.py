"""A schedule as days and times of day, which is all that systemd, cron and Kubernetes can say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.calendar.rule import Frequency, Rule
from courtkeeper.findings import ConfigurationError

_MINUTES = 24 * 60
Times = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """The days, as in a rule, and the (hour, minute) of each of them; nothing is counted from an anchor."""

    months: tuple[int, ...]
    month_days: tuple[int, ...]
    weekdays: tuple[int, ...]
    positions: tuple[int, ...]
    times: Times

    def groups(self) -> list[tuple[list[int], list[int]]]:
        """Return the times as hours and minutes of which every pair is meant; as few as hours allow."""
        by_hour: dict[int, list[int]] = {}
        for hour, minute in self.times:
            by_hour.setdefault(hour, []).append(minute)
        by_minutes: dict[tuple[int, ...], list[int]] = {}
        for hour, minutes in by_hour.items():
            by_minutes.setdefault(tuple(minutes), []).append(hour)
        return [(hours, list(minutes)) for minutes, hours in by_minutes.items()]

    def month_day_numbers(self) -> tuple[list[int], list[int]]:
        """Return the days counted from the start and from the end of a month; none for every day.

        Positions of one day of the week become days: the second Tuesday lies in 8 to 14.
        Raises ConfigurationError for positions in any other set.
        """
        if not self.positions:
            from_end = sorted(-day for day in self.month_days if day < 0)
            return [day for day in self.month_days if day > 0], from_end
        if len(self.weekdays) != 1 or self.month_days:
            raise ConfigurationError(
                "BYSETPOS chooses among days that it has no word for; choose by a single BYDAY"
            )
        found: tuple[list[int], list[int]] = ([], [])
        for place in self.positions:
            days = range(7 * abs(place) - 6, min(7 * abs(place), 31) + 1)
            found[place < 0].extend(days)
        return sorted(found[0]), sorted(found[1])


def plain(schedule: Schedule, now: datetime) -> Plain:
    """Return the schedule without counting. Raises ConfigurationError, the engine's name left out."""
    rule, anchor = schedule.rule, schedule.anchor
    if anchor is not None and anchor > now.astimezone(schedule.zone).date():
        raise ConfigurationError(f"it begins on {anchor}, which it cannot say; export it after that day")
    months = _months(rule, schedule)
    days = (rule.month_days, rule.weekdays, rule.positions)
    return Plain(months, *days, _times(rule))


def _months(rule: Rule, schedule: Schedule) -> tuple[int, ...]:
    if rule.interval == 1 or rule.freq in (Frequency.HOURLY, Frequency.MINUTELY):
        return rule.months
    if rule.freq is Frequency.MONTHLY and 12 % rule.interval == 0 and schedule.anchor:
        counted = {m for m in range(1, 13) if (m - schedule.anchor.month) % rule.interval == 0}
        return tuple(sorted(counted & set(rule.months or range(1, 13))))
    raise ConfigurationError(
        f"FREQ={rule.freq};INTERVAL={rule.interval} is counted from a day, which it cannot do; "
        "say the days themselves"
    )


def _times(rule: Rule) -> Times:
    if rule.times_of_day:
        return rule.times_of_day
    every = rule.interval * (1 if rule.freq is Frequency.MINUTELY else 60)
    if _MINUTES % every:
        raise ConfigurationError(
            f"FREQ={rule.freq};INTERVAL={rule.interval} falls on other times each day, which it cannot say; "
            "choose an interval that divides a day"
        )
    starts = range(0, _MINUTES, every)
    after = rule.minutes or (0,)
    return tuple(
        (start // 60, start % 60 + minute)
        for start in starts
        for minute in after
        if not rule.hours or start // 60 in rule.hours
    )


def numbers(values: Iterable[int], sign: str = "-", width: int = 0) -> str:
    """Return sorted numbers as a list with ranges, `1,3-5`; `sign` stands between the ends of a range."""
    found: list[list[int]] = []
    for value in values:
        if found and value == found[-1][-1] + 1:
            found[-1].append(value)
        else:
            found.append([value])
    words = []
    for run in found:
        shown = [f"{value:0{width}}" for value in run]
        words += [f"{shown[0]}{sign}{shown[-1]}"] if len(run) > 2 else shown
    return ",".join(words)
