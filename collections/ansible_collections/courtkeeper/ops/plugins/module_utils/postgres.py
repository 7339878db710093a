# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules on Postgres have in common."""

from __future__ import annotations

from ansible_collections.courtkeeper.ops.plugins.module_utils.options import option, required


def database_option():
    """The option `database`, as the fragment postgres_database describes it."""
    return required(
        "dict",
        options=dict(
            host=option(default=""),
            port=option("int", 5432),
            name=required(),
            user=option(default=""),
            password=option(default="", no_log=True),
            options=option("dict", {}),
        ),
    )
