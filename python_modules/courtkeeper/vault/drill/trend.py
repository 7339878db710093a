"""The trend of drills: RTO, RPO and the rate of restoring over time, and when an agreed limit is reached.

The line through the drills is Theil and Sen's (the median of all slopes), which one slow night does not bend.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from statistics import median

import msgspec

_LEAST = 3
_DAY = timedelta(days=1)


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """A line: `value` now, `per_day`, and in how many days it reaches the limit (None: not in sight)."""

    value: float
    per_day: float
    reaches_in_days: float | None


def forecast(
    points: Sequence[tuple[datetime, float]], limit: float, *, now: datetime, horizon_days: float
) -> Forecast | None:
    """Return where a number goes; None where there are fewer than three moments to draw a line through."""
    times = [(at - now) / _DAY for at, _ in points]
    if len(set(times)) < _LEAST:
        return None
    values = [value for _, value in points]
    slope = median(
        (values[b] - values[a]) / (times[b] - times[a])
        for a in range(len(points))
        for b in range(a + 1, len(points))
        if times[a] != times[b]
    )
    value = median(each - slope * at for each, at in zip(values, times, strict=True))
    days = 0.0 if value >= limit else (limit - value) / slope if slope > 0 else None
    reaches = days if days is not None and days <= horizon_days else None
    return Forecast(value=value, per_day=slope, reaches_in_days=reaches)
