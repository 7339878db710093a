# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""What the modules on Redis and Valkey share of their argument specs."""

from __future__ import annotations


def option(kind="str", default=None, **more):
    """One entry of an argument spec."""
    return dict(type=kind, default=default, **more)


def server_option():
    """The option `server`, as the fragment redis_server describes it; `server_from` takes its value."""
    return dict(
        type="dict",
        required=True,
        options=dict(
            host=option(default="127.0.0.1"),
            port=option("int", 6379),
            socket=option(default=""),
            database=option("int", 0),
            user=option(default=""),
            password=option(default="", no_log=True),
            tls=option("bool", False),
            ca_file=option(default=""),
            cert_file=option(default=""),
            key_file=option(default="", no_log=False),  # where it lies is no secret
            timeout_s=option("float", 10.0),
        ),
    )
