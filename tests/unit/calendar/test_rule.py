"""The RRULE subset: what is taken, and the sentence for what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.calendar.rule import parse_rule
from courtkeeper.findings import ConfigurationError
from support.examples import examples


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("FREQ=DAILY;BYHOUR=3;BYMINUTE=30", "FREQ=DAILY;BYHOUR=3;BYMINUTE=30"),
        ("rrule:freq=daily;byhour=03;byminute=5;", "FREQ=DAILY;BYHOUR=3;BYMINUTE=5"),
        ("BYHOUR=4,3,3;INTERVAL=1;FREQ=WEEKLY;BYDAY=SU,MO", "FREQ=WEEKLY;BYDAY=MO,SU;BYHOUR=3,4;BYMINUTE=0"),
        ("FREQ=HOURLY", "FREQ=HOURLY;BYMINUTE=0"),
        ("FREQ=MINUTELY;INTERVAL=5", "FREQ=MINUTELY;INTERVAL=5"),
        (
            "FREQ=MONTHLY;BYSETPOS=+2;BYDAY=TU;BYHOUR=2",
            "FREQ=MONTHLY;BYDAY=TU;BYHOUR=2;BYMINUTE=0;BYSETPOS=2",
        ),
    ],
)
def test_a_rule_has_one_spelling(text: str, canonical: str) -> None:
    assert str(parse_rule(text)) == canonical
    assert parse_rule(canonical) == parse_rule(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no part of a rule"),
        ("every day at 3", "is no part of a rule: write NAME=VALUE, as in FREQ=DAILY"),
        ("BYHOUR=3", "FREQ is missing"),
        ("FREQ=FORTNIGHTLY;BYHOUR=3", "FREQ=FORTNIGHTLY is not known"),
        ("FREQ=SECONDLY", "full minutes"),
        ("FREQ=DAILY", "BYHOUR is missing"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR=24 cannot be: give numbers from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=3;BYHOUR=4", "BYHOUR is said twice"),
        ("FREQ=DAILY;BYHOUR=-1", "BYHOUR=-1 cannot be"),
        ("FREQ=DAILY;BYHOUR=3;INTERVAL=0", "INTERVAL=0 cannot be"),
        ("FREQ=DAILY;BYHOUR=3;COUNT=5", "a calendar has no end"),
        ("FREQ=DAILY;BYHOUR=3;UNTIL=20270101", "a calendar has no end"),
        ("DTSTART:20260101T030000Z\nRRULE:FREQ=DAILY", "DTSTART is not taken here"),
        ("FREQ=DAILY;BYHOUR=3;BYWEEK=2", "'BYWEEK' is not known"),
        ("FREQ=WEEKLY;BYHOUR=3", "BYDAY is missing"),
        ("FREQ=WEEKLY;BYDAY=2TU;BYHOUR=3", "write FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2"),
        ("FREQ=MONTHLY;BYHOUR=3", "BYMONTHDAY or BYDAY is missing"),
        ("FREQ=MONTHLY;BYMONTHDAY=0;BYHOUR=3", "BYMONTHDAY=0 cannot be"),
        ("FREQ=MONTHLY;BYMONTHDAY=32;BYHOUR=3", "or from -31 to -1"),
        ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2;BYHOUR=3,4", "BYSETPOS counts times"),
        ("FREQ=DAILY;BYSETPOS=2;BYHOUR=3", "BYSETPOS goes with FREQ=MONTHLY only"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=3", "it never comes"),
        ("FREQ=YEARLY;BYMONTHDAY=3;BYHOUR=3", "FREQ=YEARLY needs BYMONTH and BYMONTHDAY"),
        ("FREQ=WEEKLY;WKST=SU;BYDAY=MO;BYHOUR=3", "weeks begin on Monday"),
        ("FREQ=MINUTELY;BYMINUTE=5", "BYMINUTE does not go with FREQ=MINUTELY"),
        ("FREQ=DAILY;BYHOUR=٣", "BYHOUR=٣ cannot be"),
    ],
)
def test_what_is_not_taken_is_refused_with_the_mend(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_rule(text)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


_WORDS = st.sampled_from(
    [
        *["FREQ", "=", ";", ",", "DAILY", "WEEKLY", "MONTHLY", "INTERVAL", "BYDAY", "BYHOUR", "BYMINUTE"],
        *["BYSETPOS", "BYMONTHDAY", "BYMONTH", "MO", "2TU", "-1", "0", "3", "31", "99"],
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=20).map("".join)))
@examples(500)
def test_any_text_is_a_rule_or_one_sentence(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ConfigurationError as refused:
        said = str(refused)
    else:
        said = ""
        assert parse_rule(str(rule)) == rule
    assert len(said) < 300
