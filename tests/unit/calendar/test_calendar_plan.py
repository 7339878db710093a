"""What comes next and what stands in its way; schedules in words; what may not be meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from courtkeeper.calendar.load import load
from courtkeeper.calendar.notes import notes
from courtkeeper.calendar.plan import chain, obstacle, slots
from courtkeeper.calendar.words import words
from support.calendars import BACKUP, read

ROOT = Path(__file__).resolve().parents[3]


def test_slots_come_in_order_with_what_stands_in_their_way(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        BACKUP
        + """
    - name: refresh
      schedule: FREQ=HOURLY;BYHOUR=2,3,4
      window: 02:30-04:30
      blackouts: [christmas.ics]
    - name: patch
      schedule: FREQ=MINUTELY
      enabled: false
    """,
    )
    start = datetime(2026, 12, 26, tzinfo=UTC)
    found = [
        (f"{each.scheduled_for:%d %H}", each.job.name, each.obstacle and each.obstacle.sentence)
        for each in slots(loaded, start, start + timedelta(days=2))
    ]
    assert found == [
        ("26 07", "refresh", "blackout: Christmas"),
        ("26 08", "backup", None),
        ("26 08", "refresh", "blackout: Christmas"),
        ("26 09", "refresh", "blackout: Christmas"),
        ("27 07", "refresh", "outside its window 02:30-04:30"),
        ("27 08", "backup", None),
        ("27 08", "refresh", None),
        ("27 09", "refresh", None),
    ]
    refresh = loaded.job("refresh")
    stands = obstacle(loaded, refresh, start)
    assert stands is not None
    assert stands.until == datetime(2026, 12, 27, 5, tzinfo=UTC), "the blackout ends with New York's day"


def test_a_chain_goes_from_one_job_to_another_in_the_order_in_which_they_wait(tmp_path: Path) -> None:
    after = {"a": "", "b": "a", "c": "a", "other": "", "d": "c b other", "e": "d", "aside": "a"}
    jobs = "".join(
        f"    - {{name: {name}, playbook: backup, schedule: FREQ=HOURLY, after: "
        f"[{', '.join(f'{{job: {each}, within_hours: 2}}' for each in waits.split())}]}}\n"
        for name, waits in reversed(after.items())
    )
    loaded = read(tmp_path, jobs)
    assert loaded.problems == ()
    assert chain(loaded, "a", "d") == ["a", "c", "b", "d"]
    assert chain(loaded, "b", "e") == ["b", "d", "e"]
    assert chain(loaded, "other", "d") == ["other", "d"]
    assert chain(loaded, "d", "d") == ["d"]
    assert chain(loaded, "e", "a") == chain(loaded, "aside", "e") == chain(loaded, "nothing", "e") == []


def test_a_window_may_span_midnight_and_a_change_of_clocks(tmp_path: Path) -> None:
    loaded = read(tmp_path, "    - {name: patch, schedule: FREQ=DAILY;BYHOUR=23, window: 22:00-02:30}\n")
    window = loaded.windows["patch"]
    assert window is not None
    evening = datetime(2027, 3, 14, 3, tzinfo=UTC)  # 22:00 in New York; at 02:00 clocks go forward
    assert window.contains(evening)
    assert not window.contains(evening - timedelta(minutes=1))
    assert window.next_close(evening) == datetime(2027, 3, 14, 7, tzinfo=UTC)
    assert not window.contains(datetime(2027, 3, 14, 7, tzinfo=UTC))
    assert window.next_opening(evening) == datetime(2027, 3, 15, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("FREQ=DAILY;BYHOUR=3;BYMINUTE=30", "every day 03:30"),
        ("FREQ=WEEKLY;BYDAY=SU;BYHOUR=4", "Sundays 04:00"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=4", "Monday to Friday 04:00"),
        ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;BYHOUR=9", "second Tuesday 09:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1;BYHOUR=9", "last day of the month 09:00"),
        ("FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=2;BYHOUR=9", "2 Jan, Jul 09:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=13,14,15;BYDAY=SU;BYHOUR=9", "Sunday from 13 to 15 09:00"),
        ("FREQ=MINUTELY;INTERVAL=5", "every 5 minutes"),
        ("FREQ=HOURLY;BYMINUTE=15", "every hour at :15"),
        (
            "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;BYHOUR=9",
            "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;BYHOUR=9;BYMINUTE=0",
        ),
    ],
)
def test_schedules_are_said_in_words(tmp_path: Path, rule: str, said: str) -> None:
    loaded = read(tmp_path, f"    - {{name: backup, schedule: '{rule}'}}\n")
    assert words(loaded.schedules["backup"]) == said


def test_what_may_not_be_meant_is_noted(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        """
    - {name: backup, schedule: FREQ=WEEKLY;BYDAY=MO;BYHOUR=3}
    - {name: refresh, schedule: FREQ=DAILY;BYHOUR=4, after: [{job: backup, within_hours: 26}]}
    - {name: weekly, playbook: refresh, schedule: FREQ=WEEKLY;BYDAY=TU;BYHOUR=4,
       after: [{job: backup, within_hours: 26}]}
    - {name: patch, schedule: FREQ=DAILY;BYHOUR=4, window: 03:00-05:00, timeout_minutes: 90}
    - {name: night, playbook: refresh, schedule: FREQ=DAILY;BYHOUR=1;BYMINUTE=30}
    - {name: never, playbook: refresh, schedule: FREQ=DAILY;BYHOUR=4, after: [{job: paused, within_hours: 2}]}
    - {name: paused, playbook: refresh, schedule: FREQ=DAILY;BYHOUR=2;BYMINUTE=30, enabled: false}
    """,
    )
    assert notes(loaded, datetime(2026, 11, 23, 12, tzinfo=UTC)) == [
        "refresh: it is due on 25 November 2026 04:00, and backup not once in the 26 h before.",
        "patch: it may run for 90 min, and its window 03:00-05:00 closes 60 min after it begins.",
        "night: 01:30 on 07 November 2027 comes twice, as clocks go back: it begins once, at 05:30 UTC.",
        "never: it runs only after paused, which is disabled.",
    ]
    assert notes(load(ROOT / "inventory/embedded", ROOT), datetime(2026, 11, 23, 12, tzinfo=UTC)) == []
