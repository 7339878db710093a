"""A schedule as an RRULE with a DTSTART, for engines that read iCalendar's words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from courtkeeper.calendar.recurrence import Schedule, changes
from courtkeeper.calendar.rule import Frequency, Rule
from courtkeeper.export.clocks import YEARS
from courtkeeper.findings import ConfigurationError

# From when schedules without an anchor are counted: fixed, so that a calendar always gives the same text.
EPOCH = date(2026, 1, 1)


def recurring(schedule: Schedule, now: datetime) -> tuple[datetime, Rule]:
    """Return the first occurrence as a naive local time, and the rule that counts from it.

    Hours and minutes of the day are said as such, so that nothing is counted across a change of clocks.
    Raises ConfigurationError where it has to be.
    """
    rule = _daily(schedule.rule)
    anchor = schedule.anchor or EPOCH
    if rule.freq in (Frequency.HOURLY, Frequency.MINUTELY) and rule.interval > 1:
        end = now + timedelta(days=366 * YEARS)
        if next(changes(schedule.zone, now, end), None) is not None:
            raise ConfigurationError(
                f"FREQ={rule.freq};INTERVAL={rule.interval} would be counted across changes of clocks in "
                f"{schedule.zone.key}; choose an interval that divides a day, or say time_zone: UTC"
            )
    early = datetime(anchor.year, anchor.month, anchor.day, tzinfo=UTC) - timedelta(days=2)
    found = schedule.occurrences(early, early + timedelta(days=50 * 366))
    return next(each.local for each in found if each.local.date() >= anchor), rule


def _daily(rule: Rule) -> Rule:
    """Return a rule that comes at the same times each day as one of those days."""
    if rule.freq is Frequency.HOURLY and rule.interval > 1 and 24 % rule.interval == 0:
        hours = [hour for hour in range(0, 24, rule.interval) if not rule.hours or hour in rule.hours]
        return replace(rule, freq=Frequency.DAILY, interval=1, hours=tuple(hours))
    if rule.freq is Frequency.MINUTELY and rule.interval > 1 and 60 % rule.interval == 0:
        minutes = tuple(range(0, 60, rule.interval))
        return replace(rule, freq=Frequency.HOURLY, interval=1, minutes=minutes)
    return rule
