"""Pictures of numbers over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from courtkeeper.report.trends import Sample, trend

START = datetime(2026, 3, 2, tzinfo=UTC)


def drawn(*values: float | None, title: str = "How long"):
    samples = [Sample(START + timedelta(days=n), value) for n, value in enumerate(values)]
    return trend("c", title, samples, lambda value: f"{value:g} s")


def test_it_says_what_it_shows() -> None:
    svg = ElementTree.fromstring(str(drawn(1, 4, None, 2)))  # noqa: S314 - our own
    assert svg.find("title").text == "How long"
    assert svg.find("desc").text == (
        "1 s on Mon 2 Mar 2026, 2 s on Thu 5 Mar 2026; from 1 s to 4 s over 3 values, 1 unknown."
    )


def test_what_is_not_known_breaks_the_line() -> None:
    svg = ElementTree.fromstring(str(drawn(1, 2, None, 3, 4)))  # noqa: S314 - our own
    assert len(svg.findall("polyline")) == 2
    assert len(svg.findall("circle")) == 4


def test_one_value_is_no_trend() -> None:
    assert drawn() is None
    assert drawn(1, None, float("nan")) is None


@given(
    st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), min_size=0, max_size=30),
    st.text(max_size=20),
)
def test_any_values_give_a_picture_within_its_frame(values: list[float | None], title: str) -> None:
    picture = drawn(*values, title=title)
    if picture is None:
        return
    svg = ElementTree.fromstring(str(picture))  # noqa: S314 - our own
    for point in svg.findall("circle"):
        assert -1 <= float(point.get("cx")) <= 641
        assert -1 <= float(point.get("cy")) <= 151
