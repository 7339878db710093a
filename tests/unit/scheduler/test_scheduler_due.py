"""Which occurrences are due, whatever the clock did in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.calendar.model import Job, Misfire
from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.calendar.rule import parse_rule
from courtkeeper.scheduler.due import MOST_AT_ONCE, Upcoming, due
from courtkeeper.scheduler.forecast import forecast
from support.examples import examples

BEGIN = datetime(2026, 3, 7, tzinfo=UTC)  # the night of New York's change is the next
RULE = "FREQ=DAILY;BYHOUR=0,1,2,3,6,12,18;BYMINUTE=0,30"
SCHEDULE = Schedule(parse_rule(RULE), ZoneInfo("America/New_York"))


@examples(60)
@given(
    steps=st.lists(st.integers(1, 60 * 72), min_size=1, max_size=12),
    policy=st.sampled_from(list(Misfire)),
    grace=st.integers(1, 600),
)
def test_each_occurrence_is_met_once_and_has_an_end(steps: list[int], policy: Misfire, grace: int) -> None:
    job = Job(name="a", schedule=RULE, misfire=policy, grace_minutes=grace)
    upcoming, now = Upcoming(SCHEDULE, BEGIN), BEGIN
    seen: list[datetime] = []
    for minutes in steps:
        now += timedelta(minutes=minutes)
        found, until = due(job, upcoming, now)
        assert upcoming.next == SCHEDULE.after(now)
        seen += [each.at for each in found]
        begin = [each for each in found if not each.missed]
        assert all(now - each.at <= job.grace for each in begin)
        assert policy is Misfire.ALL or len(begin) <= 1
        assert all(now - each.at <= timedelta(minutes=1) for each in begin) or policy is not Misfire.SKIP
        assert all(each.deadline == each.at + job.grace for each in found)
        assert until == now
    assert seen == list(SCHEDULE.between(BEGIN + timedelta(microseconds=1), now + timedelta(microseconds=1)))


def test_a_long_silence_is_taken_in_pieces() -> None:
    job = Job(name="a", schedule=RULE, misfire=Misfire.LATEST)
    now = BEGIN + timedelta(days=100)
    since, pieces, upcoming = BEGIN, [], Upcoming(SCHEDULE, BEGIN)
    while since < now:
        found, since = due(job, upcoming, now)
        pieces.append(found)
    assert [len(piece) for piece in pieces[:-1]] == [MOST_AT_ONCE] * (len(pieces) - 1)
    assert len([each for piece in pieces for each in piece]) == len(
        list(SCHEDULE.between(BEGIN + timedelta(seconds=1), now + timedelta(seconds=1)))
    )
    assert all(each.missed for piece in pieces[:-1] for each in piece)


def test_a_forecast_is_what_nine_of_ten_runs_keep() -> None:
    assert forecast([1.0, 2.0]) is None
    found = forecast([float(n) for n in range(1, 11)])
    assert found is not None
    assert (found.expected_s, found.runs) == (9.0, 10)
    assert forecast([5.0, 5.0, 50.0]).expected_s == 50.0  # type: ignore[union-attr]
