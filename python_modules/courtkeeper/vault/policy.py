"""The key `policy` of a vault's settings: what stays, what is read, and when a backup counts as missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from courtkeeper.findings import ConfigurationError
from courtkeeper.settings import converted, within
from courtkeeper.vault import retention
from courtkeeper.vault.retention import Policy


class VerifyPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is looked at, and what is too much.

    `fresh_hours`: the newest backup of every source is at most so old; a day and two hours to make it, by
    default. `fresh` says otherwise by source. `read_mb`: so much of each destination is read whole in a run,
    the newest backup of each source first; what does not fit is read in part. `older`: so many older backups
    of each source take their turn. `list_archives`: where an identity is at hand, archives are opened and
    listed, too. `shrunk` is the share that a part may be smaller than the median of the `trend` backups
    before it; `grown` the factor that it may be larger. `proven_days`: so long ago may the last drill be.
    """

    fresh_hours: float = 26.0
    fresh: dict[str, float] = msgspec.field(default_factory=dict)
    read_mb: float = 2048.0
    older: int = 1
    list_archives: bool = True
    shrunk: float = 0.3
    grown: float = 4.0
    trend: int = 7
    proven_days: float = 35.0

    def fresh_for(self, source: str) -> float:
        """Return how many hours old the newest backup of a source may be."""
        return self.fresh.get(source, self.fresh_hours)


class VaultPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`retention` by the planner, `verify` as above; what a killed run left goes after `leftovers_hours`."""

    retention: Policy = Policy()
    verify: VerifyPolicy = VerifyPolicy()
    leftovers_hours: float = 48.0

    @property
    def longest_days(self) -> float:
        """How long the policy keeps the oldest backup, if backups are taken daily."""
        kept = self.retention
        return max(kept.daily, kept.weekly * 7, kept.monthly * 31, kept.window_days)


def policy_from(given: Mapping[str, Any]) -> VaultPolicy:
    """Return the policy of a mapping. Raises ConfigurationError that names the key."""
    policy = converted(given, VaultPolicy, "policy.")
    retention.checked(policy.retention, "policy.retention.")
    within("policy.leftovers_hours", policy.leftovers_hours, 1, 24 * 365)
    verify = policy.verify
    for name, least, most in (
        ("fresh_hours", 0.01, 24 * 3660),
        ("read_mb", 0, 1e9),
        ("older", 0, 1000),
        ("shrunk", 0.01, 1),
        ("grown", 1, 1e6),
        ("trend", 1, 1000),
        ("proven_days", 0.01, 3660),
    ):
        within(f"policy.verify.{name}", getattr(verify, name), least, most)
    for source, hours in verify.fresh.items():
        within(f"policy.verify.fresh.{source}", hours, 0.01, 24 * 3660)
    if policy.retention.window_days or policy.retention.points:
        raise ConfigurationError(
            "policy.retention.window_days and points promise points in time, which the vault's dumps cannot "
            "give: take them out here, and promise them of the physical backups"
        )
    return policy
