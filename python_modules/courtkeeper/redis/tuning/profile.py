"""Profiles: what a server wants for a kind of work. Each is a readable file, profiles/<name>.yml."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from courtkeeper.findings import ConfigurationError
from courtkeeper.redis.tuning.normalise import canonical, text_of
from courtkeeper.redis.tuning.parameters import one_name, why_untouchable

NAMES = ("cache", "session", "queue", "persistent")


def profile(name: str) -> dict[str, str]:
    """Return what the profile wants, by the parameter's one name. Raises ConfigurationError for none."""
    if name not in NAMES:
        raise ConfigurationError(f"there is no profile {name[:40]!r}: take one of {', '.join(NAMES)}")
    text = files(__package__).joinpath("profiles", f"{name}.yml").read_text("utf-8")
    return wanted(yaml.safe_load(text))


def wanted(given: Mapping[str, Any]) -> dict[str, str]:
    """Return parameters as they are told, by their one name and in the server's text.

    Raises ConfigurationError, one sentence, for what is no name or value, a parameter that is not to be
    tuned, and two values for one parameter under its two names.
    """
    found: dict[str, str] = {}
    for key, value in given.items():
        name = one_name(str(key))
        if not name or len(name) > 64 or not set(name) <= _LETTERS:
            raise ConfigurationError(f"{str(key)[:40]!r} is no name of a parameter: see CONFIG GET *")
        if why := why_untouchable(name):
            raise ConfigurationError(f"{name} {why}")
        text = text_of(name, value)
        if name in found and canonical(name, found[name]) != canonical(name, text):
            raise ConfigurationError(f"{name} is told twice, under two of its names: keep one")
        found[name] = text
    return found


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
