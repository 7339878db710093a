"""Settings of the server that its owner declares, and statements that set them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from courtkeeper.findings import ConfigurationError
from courtkeeper.postgres.settings import IntegritySettings

# What may hold a password is compared, but neither shown nor put into a statement.
_SECRET = {"primary_conninfo", "ssl_passphrase_command", "archive_command", "restore_command"}
# The manual: what is a list of names is given to ALTER SYSTEM as a list, else it becomes one long name.
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
}
_NAME = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)*", re.ASCII)


def declared(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return `settings` as the server's words: names in small letters, yes and no as on and off.

    Raises ConfigurationError for a name or a value that cannot be one of a setting.
    """
    words = {}
    for name, value in settings.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"settings_expected holds {name!r}: give the name of a setting of Postgres, such as work_mem"
            )
        if isinstance(value, bool):
            value = "on" if value else "off"
        if not isinstance(value, str | int | float) or "\0" in str(value):
            raise ConfigurationError(
                f"settings_expected.{name} is {value!r}: give one value, such as 64MB, 30s, on or 0.9"
            )
        words[name.lower()] = str(value).strip()
    return words


def shown(name: str, value: str) -> str:
    """Return `value` for a person, or stars where it may hold a secret."""
    return "***" if name.lower() in _SECRET else value or "''"


def alter(name: str, value: str) -> str:
    """Return the statements that set `name` to `value` in the whole cluster; empty where it is a secret."""
    if name.lower() in _SECRET or not _NAME.fullmatch(name):
        return ""
    parts = value.split(",") if name.lower() in _LISTS else [value]
    given = ", ".join(_literal(part.strip().strip('"')) for part in parts)
    return f"ALTER SYSTEM SET {name} = {given}; SELECT pg_reload_conf();"


def _literal(text: str) -> str:
    plain = "'" + text.replace("'", "''") + "'"
    return plain if "\\" not in plain else "E" + plain.replace("\\", "\\\\")


class SettingsDeclared:
    """What the checks share that know the declared settings: `expected` maps a name to its value."""

    expected: Mapping[str, str] = {}

    def configure(self, settings: IntegritySettings) -> None:
        """Take the declared settings. Raises ConfigurationError for one that cannot be."""
        self.expected = declared(settings.settings_expected)

    def parameters(self) -> Mapping[str, Any]:
        """Return the declared settings as one JSON object."""
        return {"expected": json.dumps(dict(self.expected))}

    alter = staticmethod(alter)
