# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules of physical backups have in common."""

from __future__ import annotations


def stanza_option():
    """The option `stanza`, as the fragment `pgbackrest` describes it."""
    return dict(
        type="dict",
        required=True,
        options=dict(
            name=dict(type="str", required=True),
            config=dict(type="str"),
            program=dict(type="str"),
            host=dict(type="str"),
            port=dict(type="int"),
            user=dict(type="str"),
            database=dict(type="str"),
            bin_directory=dict(type="str"),
            state_directory=dict(type="str"),
            scratch_directory=dict(type="str"),
            policy=dict(type="dict"),
        ),
    )


def stanza_told(stanza):
    """Return what was said of a stanza, without what was left out."""
    return {key: value for key, value in stanza.items() if value is not None}
