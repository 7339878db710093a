"""The report's part on a database's costly statements, from `details.performance` of the record.

What comes in is foreign data: what cannot be read is said, and the rest of the page stands.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from courtkeeper.report import text
from courtkeeper.report.charts import element, picture

AT_MOST = 40
PLAN_LINES_AT_MOST = 41
TEXT_AT_MOST = 400
_TREND_AT_MOST = 60
_WIDTH, _HEIGHT, _MARGIN = 96, 24, 3


class _Row(msgspec.Struct, frozen=True):
    queryid: str = ""
    role: str = ""
    text: str = ""
    calls: int = 0
    total_ms: float = 0.0
    mean_ms: float = 0.0
    share: float = 0.0
    read_bytes: int = 0
    temp_bytes: int = 0
    trend: list[tuple[str, float | None]] = []
    plan: list[str] | str = ""


class _Performance(msgspec.Struct, frozen=True):
    statements: list[_Row] = []


@dataclass(frozen=True, slots=True)
class StatementRow:
    """One statement as the page shows it; `trend` is a small picture of its mean, or nothing."""

    text: str
    queryid: str
    role: str
    share: str
    calls: str
    total: str
    mean: str
    read: str
    temp: str
    trend: Markup | None
    plan: tuple[str, ...]
    no_plan: str


@dataclass(frozen=True, slots=True)
class StatementsView:
    """The statements that cost most, the most time first."""

    rows: tuple[StatementRow, ...] = ()
    left_out: int = 0
    unreadable: str = ""


def build(details: Mapping[str, Any]) -> StatementsView | None:
    """Return the view of `details.performance`; None where the run was not about it."""
    found = details.get("performance")
    if not isinstance(found, Mapping) or "statements" not in found:
        return None
    try:
        rows = msgspec.convert(dict(found), _Performance, strict=False).statements
    except msgspec.ValidationError as error:
        return StatementsView(unreadable=text.short(str(error), 200))
    return StatementsView(
        tuple(_row(number, row) for number, row in enumerate(rows[:AT_MOST])), max(len(rows) - AT_MOST, 0)
    )


def _row(number: int, row: _Row) -> StatementRow:
    plan = row.plan if isinstance(row.plan, list) else []
    return StatementRow(
        text=text.short(row.text, TEXT_AT_MOST),
        queryid=row.queryid,
        role=row.role,
        share=text.percent(row.share) if math.isfinite(row.share) else text.UNKNOWN,
        calls=text.integer(row.calls),
        total=text.duration(row.total_ms / 1000),
        mean=milliseconds(row.mean_ms),
        read=text.size(row.read_bytes),
        temp=text.size(row.temp_bytes) if row.temp_bytes else text.NOTHING,
        trend=_trend(number, row.trend),
        plan=tuple(plan[:PLAN_LINES_AT_MOST]),
        no_plan="" if plan else str(row.plan),
    )


def milliseconds(value: float) -> str:
    """Return `0.42 ms`, `42 ms` or `4,200 ms`."""
    if not math.isfinite(value):
        return text.UNKNOWN
    return f"{value:,.2f} ms" if value < 10 else f"{value:,.0f} ms"


def _trend(number: int, points: Sequence[tuple[str, float | None]]) -> Markup | None:
    """Draw the mean from snapshot to snapshot; None where there are not two of them."""
    means = [mean for _, mean in points[-_TREND_AT_MOST:] if mean is not None and math.isfinite(mean)]
    if len(means) < 2:
        return None
    top = max(*means, 1e-9)  # a mean is a time: none is below nought
    step = (_WIDTH - 2 * _MARGIN) / (len(means) - 1)
    places = [
        f"{_MARGIN + place * step:.1f},{_HEIGHT - _MARGIN - mean / top * (_HEIGHT - 2 * _MARGIN):.1f}"
        for place, mean in enumerate(means)
    ]
    said = f"{milliseconds(means[0])} to {milliseconds(means[-1])} over {len(means)} snapshots"
    line = element("polyline", points=" ".join(places), class_="spark")
    return picture(f"statement-{number}", "Mean time", said, _WIDTH, _HEIGHT, line)
