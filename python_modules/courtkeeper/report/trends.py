"""Pictures of a number over time, drawn on the server like those of `charts`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from courtkeeper.report.charts import element, picture
from courtkeeper.report.text import day, in_utc

_LEFT, _RIGHT, _TOP, _BOTTOM = 4.0, 4.0, 16.0, 18.0


class Sample(NamedTuple):
    """A value at a time; None where it is not known. `shape` is a Status's name, empty for a plain point."""

    at: datetime
    value: float | None
    shape: str = ""


def trend(
    chart_id: str,
    title: str,
    samples: Sequence[Sample],
    shown: Callable[[float], str],
    *,
    width: float = 640,
    height: float = 150,
) -> Markup | None:
    """Draw a number over time as a line from nought; None where fewer than two values are known.

    A time at which the value is not known breaks the line: it is never drawn as if it were known.
    """
    known = [s for s in samples if s.value is not None and math.isfinite(s.value)]
    if len(known) < 2:
        return None
    values = [s.value for s in known if s.value is not None]
    low, high = min(0.0, *values), max(*values, 0.0)
    span = (high - low) or 1.0
    first, last = samples[0].at, samples[-1].at
    length = (last - first).total_seconds() or 1.0

    def place(sample: Sample) -> tuple[float, float]:
        x = _LEFT + (sample.at - first).total_seconds() / length * (width - _LEFT - _RIGHT)
        y = height - _BOTTOM - ((sample.value or 0.0) - low) / span * (height - _TOP - _BOTTOM)
        return x, y

    base = height - _BOTTOM - (0.0 - low) / span * (height - _TOP - _BOTTOM)
    drawn = [
        element("line", x1=0, x2=_n(width), y1=_n(base), y2=_n(base), class_="zero"),
        element("text", shown(max(values)), x=0, y=11, class_="tick"),
        element("text", day(in_utc(first)), x=0, y=_n(height - 4), class_="tick"),
        element("text", day(in_utc(last)), x=_n(width), y=_n(height - 4), class_="tick", text_anchor="end"),
    ]
    drawn += [
        element("polyline", points=" ".join(f"{_n(x)},{_n(y)}" for x, y in map(place, run)), class_="spark")
        for run in _unbroken(samples)
        if len(run) > 1
    ]
    drawn += [
        element("circle", cx=_n(x), cy=_n(y), r=2.6, class_=f"dot is-{sample.shape or 'plain'}")
        for sample, (x, y) in ((sample, place(sample)) for sample in known)
    ]
    said = (
        f"{shown(values[0])} on {day(in_utc(known[0].at))}, "
        f"{shown(values[-1])} on {day(in_utc(known[-1].at))}; "
        f"from {shown(min(values))} to {shown(max(values))} over {len(known)} values"
    )
    unknown = len(samples) - len(known)
    said += f", {unknown} unknown." if unknown else "."
    return picture(chart_id, title, said, width, height, *drawn)


def _unbroken(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Return the stretches in which every value is known."""
    found: list[list[Sample]] = [[]]
    for sample in samples:
        if sample.value is None or not math.isfinite(sample.value):
            found.append([])
        else:
            found[-1].append(sample)
    return [run for run in found if run]


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
