"""What a caller may set for the look at a database's performance, beside the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, within

Part = Literal["statements", "indexes", "redundant_indexes", "settings"]


class PerformanceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a database's performance is judged, and what may be changed.

    `parts` (empty: all) are what is looked at. The first `top` statements by each measure are shown; slow
    is one with a mean over `slow_mean_ms`, or over `busy_mean_ms` where it has `busy_share_pct` of all time,
    after `min_calls`. A statement has got worse where its mean since the last snapshot is `regression_ratio`
    times that of the snapshots before. An index is advised where it makes a plan cheaper by `min_gain_pct`.

    `memory_mb` and `cpus` are the server machine's; 0: of the machine that runs this, where the server is
    on it. Nothing is changed unless `apply_settings` or `drop_indexes` names it.
    """

    parts: tuple[Part, ...] = ()
    top: int = 10
    slow_mean_ms: float = 1000.0
    busy_mean_ms: float = 100.0
    busy_share_pct: float = 10.0
    min_calls: int = 5
    regression_ratio: float = 2.0
    min_gain_pct: float = 50.0
    analyze: bool = False
    memory_mb: int = 0
    cpus: int = 0
    storage: Literal["unknown", "ssd", "hdd"] = "unknown"
    apply_settings: tuple[str, ...] = ()
    drop_indexes: tuple[str, ...] = ()
    state_directory: str = ""
    lock_timeout_s: float = 2.0
    statement_timeout_s: float = 30.0

    def wants(self, part: str) -> bool:
        """Whether a part is among the chosen ones."""
        return not self.parts or part in self.parts


_BOUNDS: dict[str, tuple[float, float]] = {
    "top": (1, 100),
    "slow_mean_ms": (0, 1e9),
    "busy_mean_ms": (0, 1e9),
    "busy_share_pct": (0, 100),
    "min_calls": (1, 1e9),
    "regression_ratio": (1.01, 1000),
    "min_gain_pct": (1, 100),
    "memory_mb": (0, 1e9),
    "cpus": (0, 4096),
    "lock_timeout_s": (0.001, 60),
    "statement_timeout_s": (0.001, 3600),
}


def performance_settings_from(given: Mapping[str, Any]) -> PerformanceSettings:
    """Return the settings of a mapping, as an inventory gives them.

    Raises ConfigurationError, naming the key, for what cannot be; nothing has been asked of a server yet.
    """
    settings = converted(given, PerformanceSettings)
    for name, (least, most) in _BOUNDS.items():
        within(name, getattr(settings, name), least, most)
    if (settings.drop_indexes or settings.apply_settings) and not settings.state_directory:
        raise ConfigurationError(
            "state_directory is empty: name a directory where what takes the changes back is kept"
        )
    for name, part in (("apply_settings", "settings"), ("drop_indexes", "redundant_indexes")):
        if getattr(settings, name) and not settings.wants(part):
            raise ConfigurationError(f"{name} is given, but parts leaves {part} out: add it to parts")
    return settings
