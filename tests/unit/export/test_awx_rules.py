"""AWX: the offline check of a rule against what a real AWX said, and the file that is made for it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import yaml
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.export.awx import refusal

AWX = Path(__file__).resolve().parents[3] / "awx"
CASES = yaml.safe_load((AWX / "schedule_cases.yml").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["rule"][-50:])
def test_a_rule_is_judged_as_awx_judges_it(case: dict[str, str]) -> None:
    said = refusal(case["rule"])
    assert (case["refused"] in said) if case["refused"] else said == ""
    if "next" in case:
        assert rrulestr(case["rule"])[0] == datetime.fromisoformat(case["next"])


def test_every_schedule_that_is_made_passes() -> None:
    made = yaml.safe_load((AWX / "schedules.yml").read_text())["controller_schedules"]
    assert {"embedded nba_refresh", "embedded backup"} <= {each["name"] for each in made}
    for each in made:
        assert refusal(each["rrule"]) == "", each["name"]
        assert list(rrulestr(each["rrule"], forceset=True).xafter(datetime.now().astimezone(), count=3))


@given(st.text(alphabet="DTSTARULEZID=:;,0129 \nFQYMOBNC-", max_size=80))
def test_any_text_is_judged(text: str) -> None:
    assert isinstance(refusal(text), str)
    assert isinstance(refusal(f"DTSTART:20261201T060000Z RRULE:FREQ=DAILY;{text}"), str)
