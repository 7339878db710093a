# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules on certificates share of their argument specs."""

from __future__ import annotations


def watch_spec():
    """The options that name what is watched, and by which limits: those of the fragment certificate_watch."""
    return dict(
        watch=dict(
            type="list",
            elements="dict",
            default=[],
            options=dict(
                file=dict(type="path"),
                key=dict(type="path", no_log=False),  # where it lies is no secret
                host=dict(type="str"),
                port=dict(type="int", default=443),
                name=dict(type="str"),
            ),
        ),
        limits=dict(
            type="dict",
            default={},
            apply_defaults=True,
            options=dict(
                renew=dict(type="float", default=0.3333),
                renew_short=dict(type="float", default=0.5),
                warn=dict(type="float", default=0.25),
                crit=dict(type="float", default=0.1),
            ),
        ),
        trusted_roots=dict(type="str", default=""),
    )
