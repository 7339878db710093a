"""From an inventory's `notifications.yml` to channels, and from its secrets to their addresses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
import yaml

from courtkeeper.calendar import nodes
from courtkeeper.findings import ConfigurationError
from courtkeeper.notify.model import Channel, Notifications, Ping
from courtkeeper.runner.options import shown
from courtkeeper.settings import known

Struct = TypeVar("Struct", bound=msgspec.Struct)
KEY = "courtkeeper_notifications"
PATH = Path("group_vars", "all", "notifications.yml")


def load(inventory: Path, root: Path) -> Notifications:
    """Return whom a system tells what; nobody anything where it has no such file.

    Raises ConfigurationError with file, line and mend.
    """
    return read(inventory / PATH, KEY, Notifications, root, _refuse) or Notifications()


def read(
    path: Path, key: str, kind: type[Struct], root: Path, refuse: Callable[[Struct], None]
) -> Struct | None:
    """Return the value of `key` in a YAML file of plain values as a struct; None where there is no file.

    `refuse` raises ConfigurationError for what a struct cannot say. Raises ConfigurationError with file, line
    and mend.
    """
    name = shown(path, root)
    if not path.exists():
        return None
    try:
        node = dict(nodes.pairs(nodes.compose(path))).get(key)
        return _checked(key, node, kind, refuse)
    except nodes.UnreadableError as error:
        raise ConfigurationError(f"{name}:{error.line}: {error}") from None


def _checked(
    key: str, node: yaml.Node | None, kind: type[Struct], refuse: Callable[[Struct], None]
) -> Struct:
    if node is None:
        raise nodes.UnreadableError(f"{key} is missing; write it, or remove the file")
    for double, line in nodes.doubled(node):
        raise nodes.UnreadableError(f"{double} stands there twice; remove one", line)
    given = nodes.built(node)
    if "{{" in str(given):
        raise nodes.UnreadableError("it holds a template; write plain values", nodes.line_of(node))
    try:
        found = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at ")
        path = [int(at) if at else name for name, at in re.findall(r"\.(\w+)|\[(\d+)\]", where)]
        said = re.sub(r" matching regex .*", " of another form", said).replace("`", "")
        where = ".".join(str(each) for each in path) or "it"
        line = nodes.line_of(nodes.at(node, *path))
        raise nodes.UnreadableError(
            f"{where} cannot be: {said[0].lower()}{said[1:]}; mend it", line
        ) from None
    try:
        refuse(found)
    except ConfigurationError as error:
        raise nodes.UnreadableError(str(error), nodes.line_of(node)) from None
    return found


def _refuse(found: Notifications) -> None:
    try:
        ZoneInfo(found.time_zone)
    except (OSError, ValueError, KeyError):
        raise ConfigurationError(
            f"time_zone {found.time_zone[:60]!r} is none; write one as America/New_York"
        ) from None
    twice = [name for name, count in Counter(found.names).items() if count > 1]
    if twice:
        raise ConfigurationError(f"there are two channels {twice[0]}; rename one")


def channel(wanted: str, found: Notifications) -> Channel | Ping:
    """Return a channel by its name. Raises ConfigurationError that says which there are."""
    known("channel", [wanted], found.names)
    each = found.find(wanted)
    assert each is not None  # noqa: S101 - known() has seen it
    return each


def address(of: Channel | Ping, secrets: Mapping[str, Any]) -> str:
    """Return a channel's address from the secrets. Raises ConfigurationError, which never holds it."""
    value = secrets.get(of.secret)
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(
            f"the channel {of.name} has no address: courtkeeper_secrets has no text {of.secret}; "
            "add it to the secrets file"
        )
    if isinstance(of, Ping):
        try:
            parts = urlsplit(value.strip())
            good = parts.scheme in {"http", "https"} and bool(parts.hostname)
        except ValueError:
            good = False
        if not good:
            raise ConfigurationError(f"the secret {of.secret} is no http or https address: mend it")
    return value.strip()


def masked(value: str) -> str:
    """Return what may be shown of an address: its kind, and nothing of where it leads."""
    scheme, mark, _ = value.partition("://")
    return f"{scheme}://********" if mark and re.fullmatch(r"[a-z0-9+.-]{1,20}", scheme) else "********"
