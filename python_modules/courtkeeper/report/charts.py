"""Charts as SVG, drawn on the server: no script, no outside reference, every value escaped.

A chart carries `role="img"` with a title and a description, so that its message also reaches
whoever does not see it, and takes its colours from the page's CSS classes, so that it follows
light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from courtkeeper.report.text import clean, percent, short

PERIOD_S = 720
OVERTIME_S = 300
REGULATION_S = 4 * PERIOD_S


class Point(NamedTuple):
    """One moment of a game: seconds since the start, and the home team's lead."""

    at_s: float
    lead: float


class Dot(NamedTuple):
    """One value of a dot plot: a share of 0 to 1, or None where it is unknown."""

    label: str
    value: float | None


def element(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """Return one SVG element; text and attributes are escaped. `stroke_width` becomes `stroke-width`."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), clean(str(value)))
        for key, value in attributes.items()
        if value is not None
    )
    inside = Markup("").join(c if isinstance(c, Markup) else escape(clean(c)) for c in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, inside)  # noqa: S704 a constant of this file


def picture(
    chart_id: str, title: str, description: str, width: float, height: float, *drawn: Markup
) -> Markup:
    """Return a whole SVG image with its accessible name and description."""
    return element(
        "svg",
        element("title", title, id=f"{chart_id}-t"),
        element("desc", description, id=f"{chart_id}-d"),
        *drawn,
        role="img",
        viewBox=f"0 0 {_n(width)} {_n(height)}",
        aria_labelledby=f"{chart_id}-t",
        aria_describedby=f"{chart_id}-d",
    )


def lead_over_time(
    chart_id: str, away: str, home: str, points: Sequence[Point], *, end_s: float, reach: float
) -> Markup:
    """Draw the lead over a game as steps: above the line the home team leads, below it the visitors.

    `end_s` and `reach` are the ends of both axes, shared by all games of a page so that the
    pictures can be compared.
    """
    width, height, margin = 200.0, 104.0, 4.0
    middle = height / 2
    x_scale = width / max(end_s, 1.0)
    y_scale = (middle - margin) / max(reach, 1.0)
    scaled = [(p.at_s * x_scale, -p.lead * y_scale) for p in points]
    grid = [
        element("line", x1=_n(at * x_scale), x2=_n(at * x_scale), y1=0, y2=_n(height), class_="grid")
        for at in period_ends(points[-1].at_s if points else 0.0)
        if at < end_s
    ]
    return picture(
        chart_id,
        f"{away} at {home}: lead over time",
        describe_lead(away, home, points),
        width,
        height,
        *grid,
        element("path", d=_area([(x, min(y, 0.0)) for x, y in scaled], middle), class_="home"),
        element("path", d=_area([(x, max(y, 0.0)) for x, y in scaled], middle), class_="away"),
        element("line", x1=0, x2=_n(width), y1=_n(middle), y2=_n(middle), class_="zero"),
        element("text", short(home, 16), x=2, y=10),
        element("text", short(away, 16), x=2, y=_n(height - 3)),
    )


def describe_lead(away: str, home: str, points: Sequence[Point]) -> str:
    """Say in a sentence what the picture of a lead shows."""
    if not points:
        return "No events are known."
    final = points[-1].lead
    most_home = max(0.0, *(p.lead for p in points))
    most_away = max(0.0, *(-p.lead for p in points))
    end = "level" if final == 0 else f"{home if final > 0 else away} ahead by {abs(final):.0f}"
    return f"Largest lead drawn: {home} {most_home:.0f}, {away} {most_away:.0f}. It ends with {end}."


def period_ends(end_s: float) -> list[float]:
    """Return the ends of the quarters and overtimes up to `end_s` seconds."""
    ends = [float(PERIOD_S * quarter) for quarter in range(1, 5)]
    while ends[-1] + OVERTIME_S <= end_s:
        ends.append(ends[-1] + OVERTIME_S)
    return ends


def quality_strip(
    chart_id: str, measure: str, threshold: float, dots: Sequence[Dot], *, low: float
) -> Markup:
    """Draw one measure of quality, a row per game, against its threshold, from `low` to 1.

    A filled dot holds the threshold, an open diamond with its value falls short, and an unknown
    value gets the word instead of a mark: it must never look like a good one.
    """
    row, top, left, right = 19.0, 20.0, 74.0, 190.0
    height = top + row * len(dots) + 4

    def x_of(share: float) -> float:
        return left + (right - left) * (min(max(share, low), 1.0) - low) / (1.0 - low)

    threshold_x = x_of(threshold)
    # At the right edge the label would leave the picture if it were centred.
    anchor = "end" if threshold_x > right - 20 else "middle"
    label_x = min(threshold_x + 8, 198) if anchor == "end" else threshold_x
    drawn = [
        element("text", percent(low), x=_n(left), y=11, class_="tick", text_anchor="middle"),
        element("line", x1=_n(threshold_x), x2=_n(threshold_x), y1=15, y2=_n(height - 3), class_="threshold"),
        element(
            "text", f"≥ {percent(threshold)}", x=_n(label_x), y=11, class_="tick strong", text_anchor=anchor
        ),
    ]
    for index, dot in enumerate(dots):
        drawn += _quality_row(dot, top + row * (index + 0.5), left, right, threshold, x_of)
    return picture(
        chart_id,
        f"{measure} per game",
        describe_quality(measure, threshold, dots),
        200,
        height,
        *drawn,
    )


def describe_quality(measure: str, threshold: float, dots: Sequence[Dot]) -> str:
    """Say in a sentence what a strip of quality shows."""
    known = [d for d in dots if d.value is not None]
    short = [f"{d.label} {percent(d.value)}" for d in known if d.value is not None and d.value < threshold]
    unknown = [d.label for d in dots if d.value is None]
    parts = [f"{len(known) - len(short)} of {len(dots)} games hold the threshold of {percent(threshold)}."]
    if short:
        parts.append(f"Below it: {', '.join(short)}.")
    if unknown:
        parts.append(f"Unknown: {', '.join(unknown)}.")
    return f"{measure}: {' '.join(parts)}"


def _quality_row(
    dot: Dot, y: float, left: float, right: float, threshold: float, x_of: Callable[[float], float]
) -> list[Markup]:
    drawn = [
        element("text", short(dot.label, 12), x=0, y=_n(y + 3.5), class_="label"),
        element("line", x1=_n(left), x2=_n(right), y1=_n(y), y2=_n(y), class_="lane"),
    ]
    if dot.value is None:
        drawn.append(element("text", "unknown", x=_n(left + 4), y=_n(y + 3.5), class_="word unknown"))
        return drawn
    x = x_of(dot.value)
    if dot.value >= threshold:
        drawn.append(element("circle", cx=_n(x), cy=_n(y), r=4, class_="holds"))
        return drawn
    diamond = f"M{_n(x)} {_n(y - 5)}l5 5l-5 5l-5-5z"
    drawn.append(element("path", d=diamond, class_="short"))
    # The value stands on the side that has room.
    side, anchor = (x + 9, "start") if x < (left + right) / 2 else (x - 9, "end")
    place = {"x": _n(side), "y": _n(y + 3.5), "text_anchor": anchor}
    drawn.append(element("text", percent(dot.value), class_="word short", **place))
    return drawn


def share_bar(share: float, kind: str) -> Markup:
    """Draw a bar over `share` (0 to 1) of the width there is. The number stands beside it in words."""
    width = min(max(share if math.isfinite(share) else 0.0, 0.0), 1.0) * 100
    return element(
        "svg",
        element("rect", width=f"{_n(max(width, 0.4))}%", height="100%", rx=2),
        class_=f"bar {kind}",
        aria_hidden="true",
        focusable="false",
    )


def _area(points: Sequence[tuple[float, float]], middle: float) -> str:
    """Return the path between a line of steps and the middle; runs of equal height are one step."""
    if not points:
        return ""
    steps = [f"M{_n(points[0][0])} {_n(middle)}"]
    height = 0.0
    for x, y in points:
        if abs(y - height) >= 0.05:
            steps.append(f"H{_n(x)}V{_n(middle + y)}")
            height = y
    steps.append(f"H{_n(points[-1][0])}V{_n(middle)}z")
    return "".join(steps)


def _n(value: float) -> str:
    """Return a coordinate in as few characters as a tenth of a pixel needs."""
    if not math.isfinite(value):
        return "0"
    digits = f"{value:.1f}".rstrip("0").rstrip(".")
    return "0" if digits == "-0" else digits
