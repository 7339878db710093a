# Copyright: the Courtkeeper developers
# MIT License (see LICENSE or https://opensource.org/licenses/MIT)
"""Short words for the entries of an argument spec."""

from __future__ import annotations


def option(kind="str", default=None, **more):
    """An entry that may be left out."""
    return dict(type=kind, default=default, **more)


def required(kind="str", **more):
    """An entry that has to be given."""
    return dict(type=kind, required=True, **more)


def strings(default=(), **more):
    """An entry for a list of strings."""
    return option("list", list(default), elements="str", **more)
