"""Schedules: the rule for daylight saving time, ten years against an oracle, laziness."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from courtkeeper.calendar.recurrence import Irregular, Schedule, instant_of, zone_of
from courtkeeper.calendar.rule import parse_rule
from courtkeeper.findings import ConfigurationError
from support import oracle
from support.examples import examples

RULES = (
    "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
    "FREQ=DAILY;BYHOUR=1;BYMINUTE=30,45",
    "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=0,15,45",
    "FREQ=DAILY;INTERVAL=3;BYHOUR=2;BYMINUTE=10",
    "FREQ=DAILY;BYMONTH=3,4,10,11;BYDAY=SU;BYHOUR=2;BYMINUTE=0",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,SU;BYHOUR=2;BYMINUTE=15",
    "FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;BYHOUR=2;BYMINUTE=0",
    "FREQ=MONTHLY;BYDAY=SU;BYSETPOS=-1;BYHOUR=1;BYMINUTE=30",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,1;BYHOUR=23;BYMINUTE=59",
    "FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=-1,31;BYHOUR=0;BYMINUTE=0",
    "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;BYHOUR=2;BYMINUTE=30",
    "FREQ=MONTHLY;BYMONTH=1,4,7,10;BYMONTHDAY=1;BYHOUR=5;BYMINUTE=0",
    "FREQ=YEARLY;INTERVAL=2;BYMONTH=2,11;BYMONTHDAY=29,-30;BYHOUR=2;BYMINUTE=30",
    "FREQ=HOURLY;INTERVAL=7;BYMINUTE=30",
    "FREQ=HOURLY;INTERVAL=6;BYHOUR=0,12;BYMINUTE=5",
    "FREQ=MINUTELY;INTERVAL=50;BYHOUR=1,2,3",
)
ANCHOR = date(2024, 2, 15)
NEW_YORK = ZoneInfo("America/New_York")


def schedule(rule: str, zone: str = "UTC", anchor: date | None = ANCHOR) -> Schedule:
    return Schedule(parse_rule(rule), ZoneInfo(zone), anchor)


@pytest.mark.parametrize("zone", oracle.ZONES)
@pytest.mark.parametrize("rule", RULES)
def test_ten_years_are_as_the_oracle_says(rule: str, zone: str) -> None:
    found = list(schedule(rule, zone).between(*oracle.TEN_YEARS))
    assert found == oracle.expected(rule, zone, *oracle.TEN_YEARS, ANCHOR)
    assert found


@pytest.mark.parametrize(
    ("zone", "local", "instant", "irregular"),
    [
        # Clocks are put forward over 02:00-03:00: the missing time comes when they are.
        ("America/New_York", "2027-03-14T02:30", "2027-03-14T07:00", Irregular.MISSING),
        ("America/New_York", "2027-03-14T02:00", "2027-03-14T07:00", Irregular.MISSING),
        ("America/New_York", "2027-03-14T03:00", "2027-03-14T07:00", None),
        # Clocks are put back over 01:00-02:00: the first 01:30 counts.
        ("America/New_York", "2027-11-07T01:30", "2027-11-07T05:30", Irregular.REPEATED),
        ("America/New_York", "2027-11-07T02:00", "2027-11-07T07:00", None),
        ("Europe/London", "2027-03-28T01:59", "2027-03-28T01:00", Irregular.MISSING),
        ("Europe/London", "2027-10-31T01:00", "2027-10-31T00:00", Irregular.REPEATED),
        # Half an hour, in the other hemisphere.
        ("Australia/Lord_Howe", "2027-10-03T02:15", "2027-10-02T15:30", Irregular.MISSING),
        ("Australia/Lord_Howe", "2027-10-03T02:30", "2027-10-02T15:30", None),
        ("Australia/Lord_Howe", "2027-04-04T01:45", "2027-04-03T14:45", Irregular.REPEATED),
        # A whole day that was left out.
        ("Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00", Irregular.MISSING),
        ("UTC", "2027-03-14T02:30", "2027-03-14T02:30", None),
    ],
)
def test_a_missing_time_comes_at_the_change_and_a_repeated_one_once(
    zone: str, local: str, instant: str, irregular: Irregular | None
) -> None:
    found = instant_of(datetime.fromisoformat(local), ZoneInfo(zone))
    assert found.instant == datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert found.irregular == irregular


def test_times_that_fall_together_come_once() -> None:
    day = datetime(2027, 3, 14, 5, tzinfo=UTC)
    found = schedule("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0,30", "America/New_York").between(
        day, day + timedelta(hours=10)
    )
    assert [f"{each:%H:%M}" for each in found] == ["07:00", "07:30"]


def test_the_end_is_not_included_and_the_start_is() -> None:
    daily = schedule("FREQ=DAILY;BYHOUR=6")
    start = datetime(2026, 3, 1, 6, tzinfo=UTC)
    assert list(daily.between(start, start + timedelta(days=1))) == [start]
    assert list(daily.between(start, start)) == []
    assert daily.after(start) == start + timedelta(days=1)
    assert daily.after(start - timedelta(microseconds=1)) == start


def test_nothing_comes_before_the_anchor() -> None:
    weekly = schedule("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=3", anchor=date(2026, 1, 7))
    assert weekly.after(datetime(2025, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 19, 3, tzinfo=UTC)


def test_an_interval_without_an_anchor_is_refused_where_it_means_nothing() -> None:
    for rule in ("FREQ=DAILY;INTERVAL=2;BYHOUR=3", "FREQ=HOURLY;INTERVAL=5", "FREQ=MINUTELY;INTERVAL=7"):
        with pytest.raises(ConfigurationError, match="needs an anchor"):
            schedule(rule, anchor=None)
    assert schedule("FREQ=HOURLY;INTERVAL=6", anchor=None).after(
        datetime(2026, 1, 1, 1, tzinfo=UTC)
    ) == datetime(2026, 1, 1, 6, tzinfo=UTC)


def test_occurrences_are_made_one_by_one() -> None:
    every_minute = schedule("FREQ=MINUTELY")
    began = time.process_time()
    found = list(
        islice(every_minute.between(datetime(2026, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC)), 3)
    )
    assert [each.minute for each in found] == [0, 1, 2]
    assert time.process_time() - began < 1, "millions of occurrences were made for three"


def test_what_never_comes_ends() -> None:
    never = schedule("FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=MO,TU;BYSETPOS=2;BYHOUR=3")
    assert never.after(datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert list(never.between(datetime.min.replace(tzinfo=UTC), datetime(1000, 1, 1, tzinfo=UTC))) == []


def test_leap_days_are_found_across_a_century() -> None:
    sunday = schedule("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU;BYHOUR=3")
    assert sunday.after(datetime(2088, 3, 1, tzinfo=UTC)) == datetime(2128, 2, 29, 3, tzinfo=UTC)


def test_the_odd_days_of_ten_years_are_listed() -> None:
    found = list(schedule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "America/New_York").irregular(*oracle.TEN_YEARS))
    assert [each.irregular for each in found] == [Irregular.MISSING] * 10
    assert {each.local.month for each in found} == {3}
    assert not list(schedule("FREQ=DAILY;BYHOUR=6", "America/New_York").irregular(*oracle.TEN_YEARS))
    assert not list(schedule("FREQ=HOURLY", "UTC").irregular(*oracle.TEN_YEARS))


_days = st.dates(date(1990, 1, 1), date(2090, 1, 1))


@given(st.sampled_from(sorted(available_timezones())), _days, st.integers(0, 24 * 60 - 1))
@examples(300)
def test_local_times_keep_their_order_in_every_zone(zone: str, day: date, minute: int) -> None:
    where = ZoneInfo(zone)
    local = datetime.combine(day, clock(0)) + timedelta(minutes=minute)
    found = [instant_of(local + timedelta(minutes=15 * step), where) for step in range(-8, 8)]
    instants = [each.instant for each in found]
    assert instants == sorted(instants)
    for each in found:
        shown = each.instant.astimezone(where).replace(tzinfo=None)
        assert (shown == each.local) is (each.irregular is not Irregular.MISSING)
        assert shown >= each.local


# Days around which clocks change somewhere, and any other.
_starts = st.one_of(
    st.sampled_from(
        [date(2027, 3, 13), date(2027, 3, 27), date(2027, 4, 3), date(2027, 10, 2), date(2027, 11, 6)]
    ),
    st.dates(date(2025, 1, 1), date(2033, 1, 1)),
)


@given(oracle.rules(), st.sampled_from(oracle.ZONES), _starts)
@examples(200)
def test_any_rule_is_as_the_oracle_says(rule: str, zone: str, day: date) -> None:
    try:
        parsed = parse_rule(rule)
        oracle.rule_of(rule, day)
    except (ConfigurationError, ValueError) as refused:  # dateutil's word for what never comes
        assume("never comes" not in str(refused) and "empty set" not in str(refused))
        raise
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(
        days={"MINUTELY": 1, "HOURLY": 3, "DAILY": 30, "WEEKLY": 60}.get(parsed.freq, 500)
    )
    anchor = day - timedelta(days=2 if parsed.freq in ("MINUTELY", "HOURLY") else 100)
    found = list(Schedule(parsed, ZoneInfo(zone), anchor).between(start, end))
    assert found == oracle.expected(rule, zone, start, end, anchor)


def test_a_zone_that_is_none_is_refused() -> None:
    for name in ("Europe/Lundon", "", "../../etc/passwd", "\0", "America", "x" * 300):
        with pytest.raises(ConfigurationError, match="is not a time zone"):
            zone_of(name)
