# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules of patching have in common."""

from __future__ import annotations

from ansible_collections.courtkeeper.ops.plugins.module_utils.options import strings


def health_option():
    """The option `health`, as the fragment patch_health describes it."""
    return dict(
        type="dict",
        default={},
        apply_defaults=True,
        options=dict(
            services=strings(),
            url=dict(type="str", default="", no_log=True),
            status=dict(type="int", default=200),
            command=strings(),
            timeout_s=dict(type="float", default=60.0),
            settle_s=dict(type="float", default=5.0),
        ),
    )
