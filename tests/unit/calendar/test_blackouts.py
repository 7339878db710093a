"""Blackouts: iCalendar files as calendar programs write them; what cannot be understood is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.calendar.blackouts import Blackouts, parse, read
from courtkeeper.findings import ConfigurationError
from support.examples import examples

NEW_YORK = ZoneInfo("America/New_York")
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC)


def document(*events: str) -> bytes:
    body = "".join(f"BEGIN:VEVENT\n{each.strip()}\nEND:VEVENT\n" for each in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:test\n{body}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def spans(*events: str, start: datetime = START, end: datetime = END) -> list[str]:
    found = parse(document(*events), NEW_YORK, "b.ics").spans(start, end)
    return [f"{each.start:%y-%m-%dT%H:%M} {each.end:%y-%m-%dT%H:%M} {each.name}" for each in found]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        # A whole day is the calendar's, and ends when the next begins.
        ("DTSTART;VALUE=DATE:20261225\nSUMMARY:X", ["26-12-25T05:00 26-12-26T05:00 X"]),
        (
            "DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261227\nSUMMARY:X",
            ["26-12-24T05:00 26-12-27T05:00 X"],
        ),
        ("DTSTART:20261224T180000Z\nDURATION:PT90M\nSUMMARY:X", ["26-12-24T18:00 26-12-24T19:30 X"]),
        # A time without a zone is the calendar's too.
        ("DTSTART:20261224T180000\nDTEND:20261224T190000", ["26-12-24T23:00 26-12-25T00:00 blackout"]),
        (
            "DTSTART;TZID=Europe/London:20270327T230000\nDTEND;TZID=Europe/London:20270328T030000\nSUMMARY:X",
            ["27-03-27T23:00 27-03-28T02:00 X"],
        ),
        # Over a change of clocks a recurring one keeps its local time.
        (
            "DTSTART;TZID=America/New_York:20270313T200000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=2\nSUMMARY:X",
            ["27-03-14T01:00 27-03-14T02:00 X", "27-03-15T00:00 27-03-15T01:00 X"],
        ),
        (
            "DTSTART;TZID=America/New_York:20261103T180000\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;BYDAY=1TU;"
            "UNTIL=20270106T000000Z;WKST=SU\nEXDATE;TZID=America/New_York:20261201T180000\nSUMMARY:X",
            ["26-11-03T23:00 26-11-04T00:00 X", "27-01-05T23:00 27-01-06T00:00 X"],
        ),
        (
            "DTSTART:20261201T000000Z\nDURATION:PT1H\nRDATE:20261205T000000Z,20261203T000000Z\nSUMMARY:X",
            [f"26-12-{day}T00:00 26-12-{day}T01:00 X" for day in ("01", "03", "05")],
        ),
        # One that began before the time asked for and is still on.
        ("DTSTART:20261001T000000Z\nDTEND:20261105T000000Z\nSUMMARY:X", ["26-10-01T00:00 26-11-05T00:00 X"]),
        ("DTSTART:20261201T000000Z\nDURATION:PT1H\nTRANSP:TRANSPARENT", []),
        ("DTSTART:20261201T000000Z\nDURATION:PT1H\nSTATUS:CANCELLED", []),
    ],
)
def test_events_are_blackouts(event: str, expected: list[str]) -> None:
    assert spans(event) == expected


def test_single_ones_of_a_series_are_moved_and_cancelled() -> None:
    zone = "TZID=America/New_York"
    series = f"UID:a\nDTSTART;{zone}:20261201T180000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=4\nSUMMARY:S"
    moved = f"UID:a\nRECURRENCE-ID;{zone}:20261202T180000\nDTSTART:20261210T000000Z\nDURATION:PT2H\nSUMMARY:M"
    gone = "UID:a\nRECURRENCE-ID:20261203T230000Z\nDTSTART:20261203T230000Z\nDURATION:PT1H\nSTATUS:CANCELLED"
    assert spans(moved, series, gone) == [
        "26-12-01T23:00 26-12-02T00:00 S",
        "26-12-04T23:00 26-12-05T00:00 S",
        "26-12-10T00:00 26-12-10T02:00 M",
    ]


def test_the_one_that_ends_last_stands_in_the_way() -> None:
    both = parse(
        document(
            "DTSTART:20261201T000000Z\nDTEND:20261202T000000Z\nSUMMARY:short",
            "DTSTART:20261130T000000Z\nDTEND:20261205T000000Z\nSUMMARY:long",
        ),
        NEW_YORK,
        "b.ics",
    )
    at = both.at(datetime(2026, 12, 1, 12, tzinfo=UTC))
    assert at is not None
    assert (at.name, at.file) == ("long", "b.ics")
    assert both.at(datetime(2026, 12, 5, tzinfo=UTC)) is None, "the end is not included"
    assert both.at(datetime(2026, 11, 30, tzinfo=UTC)) is not None
    assert Blackouts().at(START) is None


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is not an iCalendar file"),
        (b"freeze: yes\n", "is not an iCalendar file"),
        (b"BEGIN:VEVENT\nDTSTART:20261201T000000Z\nEND:VEVENT\n", "does not begin with BEGIN:VCALENDAR"),
        (b"BEGIN:VCALENDAR\n\xff", "is not UTF-8"),
        (document("SUMMARY:X"), "the event X has no DTSTART"),
        (document("DTSTART:tomorrow\nSUMMARY:X"), "the event X"),
        (document("DTSTART:20261201T000000Z\nSUMMARY:X"), "has no end"),
        (document("DTSTART:20261201T000000Z\nDTEND:20261130T000000Z"), "ends before it begins"),
        (document("DTSTART:20261201T000000Z\nDTEND:20291130T000000Z"), "lasts over a year"),
        (document("DTSTART:19001201T000000Z\nDURATION:PT1H"), "does not begin from 1970"),
        (document("DTSTART:20261201T000000Z\nDURATION:PT1H\nRRULE:FREQ=HOURLY"), "must recur DAILY"),
        (document("DTSTART:20261201T000000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY;BYWEEKNO=3"), "has BYWEEKNO"),
        (document("DTSTART:20261201T000000Z\nDURATION:PT1H\nRRULE:FREQ=NEVER"), "RRULE"),
        (
            document("DTSTART:20261201T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;INTERVAL=0"),
            "has INTERVAL below 1",
        ),
        (document("DTSTART:20261201T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=0"), "has COUNT below 1"),
        (
            document("UID:a\nRECURRENCE-ID:20261203T230000Z\nDTSTART:20261203T230000Z\nDURATION:PT1H"),
            "changes a series that is not in the file",
        ),
        (
            document(
                "RECURRENCE-ID;RANGE=THISANDFUTURE:20261203T230000Z\nDTSTART:20261203T230000Z\nDURATION:PT1H"
            ),
            "end the series and begin another",
        ),
    ],
)
def test_what_cannot_be_understood_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(raw, NEW_YORK, "b.ics")
    assert str(refused.value).startswith("b.ics")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        read(tmp_path / "none.ics", NEW_YORK)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path, NEW_YORK)
    (tmp_path / "large.ics").write_bytes(b" " * 1_000_001)
    with pytest.raises(ConfigurationError, match="larger than 1 MB"):
        read(tmp_path / "large.ics", NEW_YORK)


_LINES = st.sampled_from(
    """BEGIN:VCALENDAR\nEND:VCALENDAR\nBEGIN:VEVENT\nEND:VEVENT\nDTSTART:20261201T000000Z
DTSTART;VALUE=DATE:20261201\nDTSTART;TZID=Europe/London:20261201T000000\nDTEND;VALUE=DATE:20261202
DTSTART;TZID=No/Where:20261201T000000\nDTEND:20261202T000000Z\nDURATION:P1D\nDURATION:-P1D\nRRULE:
DURATION:P9999999999D\nRRULE:FREQ=YEARLY\nRRULE:FREQ=MONTHLY;BYDAY=2TU;COUNT=3\nUID:a\nSUMMARY:X
RRULE:FREQ=DAILY;UNTIL=20270101\nRRULE:FREQ=DAILY;INTERVAL=0\nEXDATE:20261202T000000Z\n DTSTART\nX
RDATE;VALUE=PERIOD:20261202T000000Z/PT1H\nRECURRENCE-ID:20261201T000000Z\nSTATUS:CANCELLED
BEGIN:VTIMEZONE\nEND:VTIMEZONE\nTZID:No/Where\nDTSTART:99991231T235959Z""".splitlines()
)


@given(
    st.one_of(
        st.binary(max_size=80),
        st.lists(_LINES, max_size=14).map(lambda lines: "\r\n".join(lines).encode()),
        st.lists(_LINES, max_size=8).map(lambda lines: document("\n".join(lines))),
    )
)
@examples(400)
def test_any_bytes_are_blackouts_or_one_sentence(raw: bytes) -> None:
    try:
        found = parse(raw, NEW_YORK, "b.ics")
    except ConfigurationError as refused:
        said = str(refused)
    else:
        said = ""
        for span in found.spans(START, END):
            assert span.start < END
            assert span.end > START
            assert span.end - span.start <= timedelta(days=367)
    assert "\n" not in said
    assert len(said) < 400
