"""The charts: true to their numbers, and saying in words what they show."""

from __future__ import annotations

import re

import pytest

from courtkeeper.report import charts
from courtkeeper.report.charts import Dot, Point


def paths(svg: str) -> dict[str, str]:
    found = re.findall(r'<path d="([^"]*)" class="([^"]*)">', svg)
    return {kind: d for d, kind in found}


def test_lead_is_drawn_above_for_home_and_below_for_away():
    svg = charts.lead_over_time(
        "x", "ATL", "CHA", [Point(0, 0), Point(1440, 10), Point(2880, -5)], end_s=2880, reach=10
    )
    # 52 is the middle of 104, 48 the height of ten points.
    assert paths(svg)["home"] == "M0 52H100V4H200V52H200V52z"
    assert paths(svg)["away"] == "M0 52H200V76H200V52z"


def test_lead_says_what_it_shows():
    said = charts.describe_lead("ATL", "CHA", [Point(0, 0), Point(10, 7), Point(20, -3)])
    assert said == "Largest lead drawn: CHA 7, ATL 3. It ends with ATL ahead by 3."
    assert charts.describe_lead("ATL", "CHA", []) == "No events are known."


@pytest.mark.parametrize(
    ("end", "expected"),
    [(2880, [720, 1440, 2160, 2880]), (3180, [720, 1440, 2160, 2880, 3180]), (0, [720, 1440, 2160, 2880])],
)
def test_periods(end, expected):
    assert charts.period_ends(end) == expected


def test_quality_marks_differ_in_shape_and_unknown_has_none():
    dots = [Dot("A @ B", 1.0), Dot("C @ D", 0.5), Dot("E @ F", None)]
    svg = charts.quality_strip("x", "Box accuracy", 0.99, dots, low=0.8)
    assert svg.count('class="holds"') == 1
    assert svg.count('class="short"') == 1
    assert svg.count(">unknown<") == 1
    assert charts.describe_quality("Box accuracy", 0.99, dots).replace("\N{NO-BREAK SPACE}", " ") == (
        "Box accuracy: 1 of 3 games hold the threshold of 99 %. Below it: C @ D 50 %. Unknown: E @ F."
    )


def test_a_value_on_its_threshold_holds_it():
    svg = charts.quality_strip("x", "Metadata", 1.0, [Dot("A @ B", 1.0)], low=0.9)
    assert 'class="holds"' in svg
    assert 'class="short"' not in svg


def test_text_and_attributes_are_escaped():
    svg = charts.element("g", "<x>", title='"><script>', data_x="a'b")
    assert svg == '<g title="&#34;&gt;&lt;script&gt;" data-x="a&#39;b">&lt;x&gt;</g>'


@pytest.mark.parametrize(
    ("share", "width"), [(0.5, "50%"), (2.0, "100%"), (-1, "0.4%"), (float("nan"), "0.4%")]
)
def test_bars_stay_in_their_track(share, width):
    assert f'width="{width}"' in charts.share_bar(share, "step")
