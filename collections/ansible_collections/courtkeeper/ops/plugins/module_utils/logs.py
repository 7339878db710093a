# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules on logs share of their argument specs."""

from __future__ import annotations

from ansible_collections.courtkeeper.ops.plugins.module_utils.options import option

LIMITS = dict(large_mib=100, stale_hours=26, deleted_mib=10)


def limits_spec():
    """The options that say from when on something is a fault: those of the fragment log_limits."""
    return {name: option("int", default) for name, default in LIMITS.items()}
