"""What a tuning is told: what is wanted, how it is judged, and where its way back is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.rule import choose
from courtkeeper.redis.tuning.profile import profile, wanted
from courtkeeper.settings import converted, usable_directory, within


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much worse is worse. Each half of the time after the change has to be worse than both before it.

    `p99_ratio` and `ops_ratio` are relative, `min_calls` and `min_ops_s` what a half needs to be judged by.
    The `…_s` are events a second above the ratio, so that a few are no alarm.
    The source of each default stands in the role's defaults.
    """

    observe_s: float = 30.0
    settle_s: float = 2.0
    p99_ratio: float = 1.5
    p99_floor_us: float = 25.0
    min_calls: int = 1000
    ops_ratio: float = 0.7
    min_ops_s: float = 100.0
    events_ratio: float = 1.5
    evictions_s: float = 10.0
    errors_s: float = 1.0
    rejected_s: float = 0.0
    fork_ratio: float = 2.0
    fork_floor_ms: float = 100.0


class TuningSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`mode` is `check` (look only) or `apply`. `parameters` go over those of `profile`.

    `scope` is `all` (every node of the topology) or `node` (the named one, whatever its role).
    `sentinel_master` is the name that a Sentinel knows the servers by; `node_user` and `node_password` are
    those of the nodes, where a Sentinel's own differ. `persist` false leaves the file alone.
    `allow_eviction` lets maxmemory go below what is used. `thresholds` are those of the checks
    (`{memory.use: {warn: 70}}`), which `mode: check` asks.
    """

    mode: Literal["check", "apply"] = "check"
    profile: str = ""
    parameters: dict[str, Any] = {}
    scope: Literal["all", "node"] = "all"
    sentinel_master: str = ""
    node_user: str = ""
    node_password: str = ""
    persist: bool = True
    allow_eviction: bool = False
    thresholds: dict[str, Any] = {}
    state_directory: str = "/var/lib/courtkeeper/redis_tuning"
    gate: Gate = Gate()

    def __repr__(self) -> str:
        return f"TuningSettings({self.mode})"

    def told(self) -> dict[str, str]:
        """Return the single values, by the parameter's one name. Raises ConfigurationError."""
        return wanted(self.parameters)

    def profiled(self) -> dict[str, str]:
        """Return what the profile wants beside them. Raises ConfigurationError."""
        told = self.told()
        found = profile(self.profile) if self.profile else {}
        return {name: value for name, value in found.items() if name not in told}


def tuning_settings_from(given: Mapping[str, Any], *, check_mode: bool = False) -> TuningSettings:
    """Return the settings. Raises ConfigurationError, naming the key, for what cannot be.

    The state directory is made where there is none, but not with `check_mode`.
    """
    settings = converted(given, TuningSettings, "")
    gate = settings.gate
    within("gate.observe_s", gate.observe_s, 0.2, 3600)
    within("gate.settle_s", gate.settle_s, 0, 3600)
    within("gate.p99_ratio", gate.p99_ratio, 1, 1000)
    within("gate.events_ratio", gate.events_ratio, 1, 1000)
    within("gate.fork_ratio", gate.fork_ratio, 1, 1000)
    within("gate.ops_ratio", gate.ops_ratio, 0, 1)
    for name in ("p99_floor_us", "min_calls", "min_ops_s", "evictions_s", "errors_s", "rejected_s"):
        within(f"gate.{name}", getattr(gate, name), 0, 1e9)
    within("gate.fork_floor_ms", gate.fork_floor_ms, 0, 1e9)
    settings.profiled()
    choose(thresholds=settings.thresholds)
    if settings.mode == "apply":
        if not (settings.profile or settings.parameters):
            raise ConfigurationError("nothing is wanted: name a profile, parameters, or both")
        if not settings.state_directory:
            raise ConfigurationError("state_directory is empty: the way back has to be kept somewhere")
        if not check_mode:
            usable_directory("state_directory", settings.state_directory)
    return settings
