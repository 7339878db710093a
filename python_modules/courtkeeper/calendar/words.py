"""A schedule in words, as a person would say it; an unusual one as it is written."""

from __future__ import annotations

from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.calendar.rule import DAYS, Frequency, Rule

_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLACES = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last", -2: "second last"}
_MOST_TIMES = 4


def words(schedule: Schedule) -> str:
    """Return `every day 03:30`, `second Tuesday 09:00`, `1 Jan, Apr, Jul, Oct 05:00`, and the like."""
    rule = schedule.rule
    when = _times(rule)
    if when is None:
        return str(rule)
    days = _days(rule, when)
    if days is None:
        return str(rule)
    every = f", every {rule.interval} {_UNITS[rule.freq]}" if _counted(rule) else ""
    return f"{days}{every} {when}".strip()


_UNITS = {
    Frequency.DAILY: "days",
    Frequency.WEEKLY: "weeks",
    Frequency.MONTHLY: "months",
    Frequency.YEARLY: "years",
}


def _counted(rule: Rule) -> bool:
    return (
        rule.interval > 1 and rule.freq in _UNITS and not (rule.freq is Frequency.DAILY and not rule.weekdays)
    )


def _times(rule: Rule) -> str | None:
    """Return the times of day; None where there are too many to say."""
    if rule.freq in _UNITS:
        times = [f"{hour:02}:{minute:02}" for hour, minute in rule.times_of_day]
        return ", ".join(times) if len(times) <= _MOST_TIMES else None
    if rule.hours:
        return None
    if rule.freq is Frequency.MINUTELY:
        return "every minute" if rule.interval == 1 else f"every {rule.interval} minutes"
    every = "every hour" if rule.interval == 1 else f"every {rule.interval} hours"
    if rule.minutes == (0,):
        return every
    return f"{every} at " + ", ".join(f":{minute:02}" for minute in rule.minutes)


def _days(rule: Rule, when: str) -> str | None:
    """Return which days; None where it takes a rule to say it."""
    if not (rule.months or rule.month_days or rule.weekdays):
        if rule.freq is Frequency.DAILY:
            return "every day" if rule.interval == 1 else f"every {rule.interval} days"
        return "" if when.startswith("every") else None
    months = ", ".join(_MONTHS[month - 1] for month in rule.months)
    if rule.month_days and rule.weekdays:
        first, last = rule.month_days[0], rule.month_days[-1]
        if first < 1 or last - first != len(rule.month_days) - 1 or first == last or rule.positions:
            return None
        return f"{' or '.join(_names(rule))} from {first} to {last}" + (f" {months}" if months else "")
    if rule.month_days:
        days = ", ".join(_day_of_month(day) for day in rule.month_days)
        if rule.month_days == (-1,):
            return f"last day of {months or 'the month'}"
        return f"{days} {months}" if months else f"day {days} of the month"
    of = f" of {months}" if months else ""
    if not rule.weekdays:
        return f"every day{of}"
    if rule.positions:
        places = ", ".join(_PLACES.get(place, f"number {place}") for place in rule.positions)
        which = "weekday" if rule.weekdays == (0, 1, 2, 3, 4) else " or ".join(_names(rule))
        return f"{places} {which}{of}"
    if rule.weekdays == (0, 1, 2, 3, 4):
        return f"Monday to Friday{of}"
    names = [DAYS[day].capitalize() for day in rule.weekdays]
    return (f"{_names(rule)[0]}s" if len(names) == 1 else ", ".join(names)) + of


def _names(rule: Rule) -> list[str]:
    return [_DAY_NAMES[day] for day in rule.weekdays]


def _day_of_month(day: int) -> str:
    if day > 0:
        return str(day)
    return "last" if day == -1 else f"{-day}th from the end"
