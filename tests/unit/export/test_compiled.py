"""Each compiled schedule against the engine's own semantics, and the reason for each that is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.calendar.recurrence import Schedule
from courtkeeper.calendar.rule import parse_rule
from courtkeeper.export.exporting import ENGINES, Target
from courtkeeper.findings import ConfigurationError
from support import engines, oracle
from support.examples import examples

NOW = datetime(2026, 11, 22, tzinfo=UTC)
# A plain day, and the days before clocks go forward and back in New York, London and Lord Howe.
STARTS = [
    NOW,
    *(
        datetime(2027, month, day, tzinfo=UTC)
        for month, day in [(3, 12), (3, 26), (4, 2), (10, 1), (10, 29), (11, 5)]
    ),
]
NEW_YORK, LONDON, LORD_HOWE = "America/New_York", "Europe/London", "Australia/Lord_Howe"
INTERVAL = "counted from a day"
OR = "days of the month or of the week"
CHANGE = "clocks change"

# rule, zone, anchor, and per engine a piece of the reason where it must be refused.
CASES = [
    ("FREQ=DAILY;BYHOUR=6;BYMINUTE=0", NEW_YORK, None, {}),
    ("FREQ=DAILY;BYHOUR=3,15;BYMINUTE=30,45", LONDON, None, {}),
    ("FREQ=DAILY;BYMONTH=3,10,11;BYHOUR=4", LORD_HOWE, None, {}),
    ("FREQ=WEEKLY;BYDAY=SU;BYHOUR=4;BYMINUTE=5", NEW_YORK, None, {}),
    ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=22", LONDON, None, {}),
    ("FREQ=DAILY;BYDAY=MO,WE;BYMONTH=6,7,8;BYHOUR=9", "UTC", None, {}),
    ("FREQ=MONTHLY;BYMONTHDAY=1,15;BYHOUR=5", NEW_YORK, None, {}),
    ("FREQ=MONTHLY;BYMONTHDAY=31;BYHOUR=5", NEW_YORK, None, {}),
    ("FREQ=MONTHLY;BYMONTH=1,4,7,10;BYMONTHDAY=1;BYHOUR=5", NEW_YORK, None, {}),
    ("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=2;BYHOUR=5", LONDON, date(2026, 2, 1), {}),
    (
        "FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=5",
        NEW_YORK,
        None,
        {"cron": "end of a month", "kubernetes": "end of a month"},
    ),
    ("FREQ=MONTHLY;BYMONTHDAY=-3,-1,15;BYHOUR=23", "UTC", None, {"cron": "end", "kubernetes": "end"}),
    (
        "FREQ=MONTHLY;BYMONTHDAY=-30;BYHOUR=5",
        "UTC",
        None,
        {"cron": "end", "kubernetes": "end", "systemd": "day -30"},
    ),
    ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;BYHOUR=9", NEW_YORK, None, {"cron": OR, "kubernetes": OR}),
    ("FREQ=MONTHLY;BYDAY=FR;BYSETPOS=5;BYHOUR=9", LONDON, None, {"cron": OR, "kubernetes": OR}),
    ("FREQ=MONTHLY;BYDAY=SU;BYSETPOS=-1;BYHOUR=9", LORD_HOWE, None, {"cron": "end", "kubernetes": "end"}),
    ("FREQ=MONTHLY;BYDAY=SA;BYSETPOS=1,3;BYHOUR=9", "UTC", None, {"cron": OR, "kubernetes": OR}),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;BYHOUR=9", NEW_YORK, None, {"cron": OR, "kubernetes": OR}),
    (
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=9",
        "UTC",
        None,
        {"cron": "BYSETPOS", "kubernetes": "BYSETPOS", "systemd": "BYSETPOS"},
    ),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28;BYHOUR=9", NEW_YORK, None, {}),
    ("FREQ=HOURLY;BYMINUTE=15", "UTC", None, {}),
    ("FREQ=HOURLY;INTERVAL=6;BYMINUTE=15", "UTC", None, {}),
    ("FREQ=HOURLY;INTERVAL=6;BYMINUTE=15", NEW_YORK, date(2026, 1, 3), {}),
    ("FREQ=MINUTELY;INTERVAL=5", "UTC", None, {}),
    ("FREQ=MINUTELY;INTERVAL=90", "UTC", None, {}),
    ("FREQ=MINUTELY;INTERVAL=10;BYHOUR=8,9", LONDON, None, {}),
    # Counted from a day: only what reads RRULEs can.
    (
        "FREQ=DAILY;INTERVAL=3;BYHOUR=9",
        NEW_YORK,
        date(2026, 1, 2),
        {"cron": INTERVAL, "kubernetes": INTERVAL, "systemd": INTERVAL},
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;BYHOUR=9",
        LORD_HOWE,
        date(2026, 1, 7),
        {"cron": INTERVAL, "kubernetes": INTERVAL, "systemd": INTERVAL},
    ),
    (
        "FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=-1;BYHOUR=9",
        LONDON,
        date(2026, 1, 31),
        {"cron": INTERVAL, "kubernetes": INTERVAL, "systemd": INTERVAL},
    ),
    (
        "FREQ=HOURLY;INTERVAL=7;BYMINUTE=30",
        "UTC",
        date(2026, 1, 7),
        {
            "cron": "other times each day",
            "kubernetes": "other times each day",
            "systemd": "other times each day",
        },
    ),
    (
        "FREQ=HOURLY;INTERVAL=7",
        NEW_YORK,
        date(2026, 1, 7),
        dict.fromkeys(Target, "interval that divides a day"),
    ),
    # Where clocks change: who does as we do, takes it.
    (
        "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
        NEW_YORK,
        None,
        {"systemd": CHANGE, "kubernetes": CHANGE, "ics": CHANGE, "awx": CHANGE},
    ),
    (
        "FREQ=DAILY;BYHOUR=2;BYMINUTE=0",
        NEW_YORK,
        None,
        {"systemd": CHANGE, "kubernetes": CHANGE, "awx": CHANGE, "ics": CHANGE},
    ),
    ("FREQ=DAILY;BYHOUR=1;BYMINUTE=30", NEW_YORK, None, {"kubernetes": "comes twice"}),
    (
        "FREQ=DAILY;BYHOUR=1;BYMINUTE=30",
        LONDON,
        None,
        dict.fromkeys(["systemd", "kubernetes", "ics", "awx"], CHANGE),
    ),
    (
        "FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=15",
        LORD_HOWE,
        None,
        dict.fromkeys(["systemd", "kubernetes", "ics", "awx"], CHANGE),
    ),
    ("FREQ=HOURLY;BYMINUTE=0", NEW_YORK, None, {"cron": "comes twice", "kubernetes": "comes twice"}),
    ("FREQ=DAILY;BYHOUR=2,3;BYMINUTE=0", NEW_YORK, None, {"cron": "beside whatever is due then"}),
    (
        "FREQ=DAILY;BYHOUR=6",
        NEW_YORK,
        date(2027, 6, 1),
        dict.fromkeys(["systemd", "cron", "kubernetes"], "it begins on"),
    ),
]


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize(("rule", "zone", "anchor", "refused"), CASES, ids=lambda value: str(value)[:60])
def test_an_engine_runs_it_at_the_same_instants_or_refuses_it(
    target: Target, rule: str, zone: str, anchor: date | None, refused: dict[str, str]
) -> None:
    schedule = Schedule(parse_rule(rule), ZoneInfo(zone), anchor)
    if refused.get(target):
        with pytest.raises(ConfigurationError) as said:
            ENGINES[target].compiled(schedule, NOW)
        assert refused[target] in str(said.value)
        return
    compiled = ENGINES[target].compiled(schedule, NOW)
    dense = schedule.rule.freq in ("HOURLY", "MINUTELY")
    for start in [*STARTS[:2], STARTS[-1]] if dense else STARTS:
        ours = list(islice(schedule.between(start, datetime(2070, 1, 1, tzinfo=UTC)), engines.ITERATIONS))
        theirs = getattr(engines, target)(compiled, start, zone)
        assert len(ours) == len(theirs) == engines.ITERATIONS
        if target == "awx":
            ours, theirs = ([each for each in found if each < engines.LAST] for found in (ours, theirs))
        assert theirs == ours, f"{compiled} from {start}"


@given(
    oracle.rules(),
    st.sampled_from(oracle.ZONES),
    st.sampled_from(STARTS),
    st.sampled_from([target for target in Target if target is not Target.SYSTEMD]),
)
@examples(150)
def test_whatever_is_compiled_is_exact(rule: str, zone: str, start: datetime, target: Target) -> None:
    try:
        schedule = Schedule(parse_rule(rule), ZoneInfo(zone), date(2026, 1, 5))
        if schedule.after(NOW) is None:
            return
        compiled = ENGINES[target].compiled(schedule, NOW)
    except ConfigurationError:
        return
    # As many as come in some years: a library that searches for what is rare gives up, or takes long.
    end = min(start + timedelta(days=1200), engines.LAST)
    ours = list(islice(schedule.between(start, end), engines.ITERATIONS))
    theirs = getattr(engines, target)(compiled, start, zone) if ours else []
    assert theirs[: len(ours)] == ours, f"{compiled} from {start}"
    assert all(each >= end for each in theirs[len(ours) :])
